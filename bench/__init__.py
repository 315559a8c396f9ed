"""The run: command line, registry, protocol, plan, cell, checkpoints and records."""

__version__ = "0.1.0"
