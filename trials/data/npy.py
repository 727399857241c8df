"""A `.npy` file that is written as its items come."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trials.errors import DataError


class Npy:
    """A `.npy` file (version 1.0) that grows by appending; its count is set on closing.

    Written rather than mapped, so that a full disk is an exception and not a bus error.
    """

    HEADER = 128

    def __init__(self, path: Path, item: tuple[int, ...], dtype: str = "|u1") -> None:
        self.path = path
        self.count = 0
        self._item = item
        self._dtype = np.dtype(dtype)
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of all items."""
        return self._hash.hexdigest()

    def append(self, items: npt.NDArray[Any]) -> None:
        """Add items (n, *item)."""
        data = np.ascontiguousarray(items, self._dtype)
        if data.shape[1:] != self._item:
            raise ValueError(f"items of shape {data.shape[1:]} among those of {self._item}")
        flat = data.reshape(-1).view(np.uint8).data
        self._hash.update(flat)
        try:
            self._file.write(flat)
        except OSError as error:
            raise self._unwritable(error) from error
        self.count += len(data)

    def __enter__(self) -> Npy:
        try:
            self._file = self.path.open("wb")
            self._file.write(bytes(self.HEADER))
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.closing(self._file):
            if raised[0] is not None:
                return
            try:
                self._file.seek(0)
                self._file.write(self._header())
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unwritable(error) from error

    def _header(self) -> bytes:
        shape = (self.count, *self._item)
        facts = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        text = repr(facts).encode("latin1").ljust(self.HEADER - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"decoded images cannot be written to {self.path}: {error.strerror}")
