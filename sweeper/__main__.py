"""The command: `sweeper`, and `python -m sweeper` where its script is not on the path."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command. Ctrl-C has its answer also while what it needs is being imported."""
    _open_closed_streams()
    try:
        from sweeper.cli.main import main as command
    except KeyboardInterrupt:
        sys.stderr.write("sweeper: interrupted\n")
        sys.exit(130)
    command()


def _open_closed_streams() -> None:
    """Have standard streams that were closed (`>&-`) lead nowhere: without them a file that is
    opened later takes their place, and what is printed would be written into it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: the stream's own
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode))


if __name__ == "__main__":
    main()
