"""Locks of the kernel, which frees them when their holder dies, however it dies."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

from sweeper.errors import NoLocks

_WITHOUT = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a network file system says that was mounted without locks."""


def taken(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file, or a share in it; False where another keeps it.

    It goes when the descriptor is closed. NFS refuses an exclusive one on a file that is open for
    reading alone.

    Raises:
        NoLocks: the file system has none.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _WITHOUT:
            raise NoLocks(os.strerror(error.errno)) from error
        raise
    return True


def can_lock(folder: Path) -> bool:
    """Whether files of this folder can be locked, which a home needs."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            return taken(file.fileno())
        except NoLocks:
            return False
