"""The storage that an address is of: a cloud's, a folder's. fsspec lives here; imported only where
an address is used. What it takes to be let in comes from the cloud's own settings."""

from __future__ import annotations

from typing import Any

from trials.errors import TrialError, reason_of
from trials.urls import EXTRAS


class StorageError(TrialError):
    """There is nothing on this machine that opens an address."""


def opened(address: str) -> tuple[Any, str]:
    """The storage that an address is of, as fsspec has it, and the place in it. Nothing is asked.

    Raises:
        StorageError: it cannot be opened, with the extra to install where one is lacking.
    """
    import fsspec

    scheme = address.partition("://")[0]
    try:
        storage, place = fsspec.core.url_to_fs(address)
    except ImportError as error:
        extra = EXTRAS.get(scheme, scheme)
        raise StorageError(
            f"{address} cannot be opened without the extra {extra}: "
            f"pip install 'gan-sweeper[{extra}]'"
        ) from error
    except Exception as error:
        raise StorageError(f"{address} cannot be opened: {reason_of(error)}") from error
    return storage, str(place).rstrip("/")
