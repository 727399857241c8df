"""Where the studies of this process are kept: in their folders, or in a database."""

from __future__ import annotations

import os

STORAGE_VARIABLE = "SWEEPER_STORAGE"
"""Environment variable with the URL of a database to keep studies in, in place of the journal.

Not part of a sweep file: such addresses tend to hold passwords, and files travel."""

JOURNAL = ""
"""Given in place of a URL, it means the journal in the folder, whatever the environment says."""


def address_of(url: str | None) -> str:
    """The database's address; empty where the study is in the folder's journal."""
    return os.environ.get(STORAGE_VARIABLE, "") if url is None else url
