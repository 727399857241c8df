"""How many operations of ours a journal has at least: a number in a file beside it."""

from __future__ import annotations

import os
from pathlib import Path

from sweeper.errors import LedgerError

OURS = b',"by":"sweeper"}\n'
"""How each line of ours ends. Inside a text of JSON the quotes would be escaped."""


class Count:
    """The file that says how many operations of ours a journal has at least."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_suffix(".count")

    def read(self) -> int:
        """0 where there is no such file: nothing is known then.

        Raises:
            LedgerError: it holds no number.
        """
        try:
            return int(self.path.read_bytes())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise LedgerError(
                f"{self.path} does not hold a number: remove it if study.journal is whole"
            ) from error

    def write(self, count: int) -> None:
        """In place and without waiting for the disk: a number too low only promises less."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.pwrite(descriptor, f"{count:019}\n".encode(), 0)
        finally:
            os.close(descriptor)
