"""Who may read a home: its owner alone, unless its folder is shared by a group.

    private   files 0600, folders 0700, whatever the umask of the account is
    shared    files 0660, folders 0770: where the folder HOME has the setgid bit, or may be written
              by its group and not by others

`chmod g+ws HOME` shares a home: what is made in it then belongs to the group of HOME.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE, SHARED = 0o077, 0o007
"""The bits that a new file or folder of a home does not have."""


def umask_of(home: Path) -> int:
    """`PRIVATE` or `SHARED`, as the mode of the folder says; private where there is none yet."""
    try:
        mode = home.stat().st_mode
    except OSError:
        return PRIVATE
    of_group = mode & stat.S_IWGRP and not mode & stat.S_IWOTH
    return SHARED if mode & stat.S_ISGID or of_group else PRIVATE


@contextmanager
def private(home: Path) -> Iterator[None]:
    """What this process and those that it starts make inside the block is as private as `home`."""
    kept = os.umask(umask_of(home))
    try:
        yield
    finally:
        os.umask(kept)
