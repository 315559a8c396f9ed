"""``python -m bench``: see ``--help``."""

from __future__ import annotations

import sys
from typing import Any, cast

from typer import Abort, BadParameter

from bench import streams
from bench.errors import BenchError

INTERRUPTED = 130
# Typer brings its own copy of click, or not, by version; the base class of its own error is the right one in both.
UsageError = cast("type[Any]", BadParameter.__mro__[1])


def main() -> None:
    """Run the command line; a user's mistake ends as one line and an exit code."""
    outlet = streams.prepare()
    from bench.cli import app

    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="python -m bench", standalone_mode=False) or 0
    except BenchError as error:
        code = _say(str(error), error.exit_code)
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "python -m bench"
        code = _say(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except OSError as error:  # a full disk, a folder without permission
        code = _say(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 2)
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        _say("interrupted; the same command goes on from the last checkpoints", code)
    sys.stdout.flush()
    if outlet and outlet.lost:
        code = _say(f"standard output: {outlet.lost.strerror}", code or 2)
    sys.exit(code)


def _say(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
