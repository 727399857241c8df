"""The command: `sweeper`, and `python -m sweeper` where its script is not on the path."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command. Ctrl-C has its answer also while what it needs is being imported."""
    try:
        from sweeper.cli.main import main as command
    except KeyboardInterrupt:
        sys.stderr.write("sweeper: interrupted\n")
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
