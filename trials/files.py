"""Writing files so that a crash at any moment leaves the old content or the new, never a part."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

Content = bytes | str | Callable[[Path], object]
"""What a file is to hold: bytes, a text, or a function that writes the file whose path it is given,
for libraries that write files themselves."""


def atomic_write(path: Path, content: Content) -> None:
    """Replace the file at `path` by `content` (a text is written as UTF-8), durably.

    Readers see the whole old file or the whole new one, and after this returns a power cut does
    not bring the old one back. The folder must exist.

    Raises:
        OSError: the content cannot be written (a full disk, no permission). The old file is intact
            and no temporary file is left, here and after whatever a function raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    # Not tempfile.mkstemp: that makes the file 0600 whatever the umask, and others read these.
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in this folder durable: a rename is lost in a power cut until this is done.

    Raises:
        OSError: there is no such folder, or it cannot be read.
    """
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
