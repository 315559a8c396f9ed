"""``python -m bench``: see ``--help``."""

from __future__ import annotations

import sys

from bench.errors import BenchError


def main() -> None:
    """Run the command line; a user's mistake ends as one line and an exit code."""
    from bench.cli import app

    try:
        app()
    except BenchError as error:
        sys.exit(_say(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted; the same command goes on from the last checkpoints", 130))


def _say(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
