"""The setting: the bucket that trials publish in, and what it takes to use one.

`$SWEEPER_BUCKET` counts for sweeps that begin. Where a sweep's trials publish is written in its
study, since another home may go on with it, and from there into its folder, for readers.
"""

from __future__ import annotations

import json
import os
import secrets

from sweeper.bucket.store import Store
from sweeper.errors import BucketError, UserError
from sweeper.home import SweepFolder, writing
from sweeper.secrets import redacted, secrets_in
from trials.errors import reason_of
from trials.files import atomic_write

BUCKET_VARIABLE = "SWEEPER_BUCKET"
"""Environment variable with the address that trials are to publish below. Not part of a sweep file,
which says what is run, not where."""

SCHEMES = ("s3", "gs", "az", "file")
"""What can be written to."""

_OWNER = "owner"

_FOLDER = "file"
"""The scheme whose place is a folder: one that begins at the root, since each worker has a working
folder of its own."""

PATIENCE = 60.0
"""Seconds in which the bucket of a sweep that has begun may come back."""


def given_bucket() -> str:
    """What the environment says, without a slash at its end; empty where it names no bucket.

    Raises:
        UserError: that is not an address of a bucket.
    """
    address = os.environ.get(BUCKET_VARIABLE, "").rstrip("/")
    scheme, found, place = address.partition("://")
    if secrets_in(address):
        raise UserError(
            f"{BUCKET_VARIABLE} is {redacted(address)!r}, which holds a secret: what lets one in "
            "comes from the cloud's own settings, such as AWS_PROFILE"
        )
    whole = place.startswith("/") if scheme == _FOLDER else bool(place)
    if not address or (found and scheme in SCHEMES and whole):
        return address
    known = ", ".join(f"{one}:///" if one == _FOLDER else f"{one}://" for one in SCHEMES)
    raise UserError(
        f"{BUCKET_VARIABLE} is {redacted(address)!r}, which is not a bucket's address; expected "
        f"one of {known} and a place, such as s3://bucket/sweeps"
    )


def check_place(folder: SweepFolder) -> str:
    """See that the trials of a sweep can publish where they are to, by what its folder says, or the
    environment where it has not begun. Returns that address; empty where they need not.

    Raises:
        UserError: they cannot, or the environment names no bucket.
    """
    begun = place_of(folder)
    address = begun or ("" if folder.exists() else given_bucket())
    if address:
        check_bucket(address, patience=PATIENCE if begun else 0.0)
    return address


def check_bucket(address: str, patience: float = 0.0) -> None:
    """See that one can write, read, list and remove there.

    Raises:
        UserError: one cannot.
    """
    store = Store(address, patience)
    folder, content = f".check/{secrets.token_hex(8)}", b"sweeper"
    key = f"{folder}/written"
    try:
        store.write(key, content)
        same = store.listed(folder) == [key] and store.read(key) == content
        store.remove([key])
    except (BucketError, OSError) as error:
        cause = error.__cause__
        reason = reason_of(cause if isinstance(cause, Exception) else error)
        told = f"trials cannot publish in {address} ({BUCKET_VARIABLE}): {reason}"
        raise UserError(told) from error
    if not same:
        raise UserError(f"{address} ({BUCKET_VARIABLE}) does not give back what it was given")


def began_at_home(folder: SweepFolder) -> str:
    """That a sweep's trials publish nowhere although the environment names a bucket, in a sentence;
    empty where that is not so."""
    if not os.environ.get(BUCKET_VARIABLE) or place_of(folder):
        return ""
    return (
        f"{BUCKET_VARIABLE} is for sweeps that begin: {folder.name} began without it, and its "
        "trials' files stay in the home"
    )


def place_of(folder: SweepFolder) -> str:
    """Where a sweep's trials publish; empty where their files are in the home.

    Raises:
        UserError: its folder's word of that cannot be read.
    """
    try:
        return folder.bucket.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder.bucket} cannot be read: {error}; run the sweep again") from error


def keep_place(folder: SweepFolder, address: str) -> None:
    """Have it known in a sweep's folder where its trials publish."""
    if address and place_of(folder) != address:
        with writing(folder.path):
            atomic_write(folder.bucket, address + "\n")


def keep_owner(address: str, home: str, path: str) -> None:
    """Have the bucket say whose its trials are, as a journal cannot once it was copied: the name of
    the home that drives the sweep, and where its folder is.

    Raises:
        BucketError: it refuses, or does not answer (BucketAway).
    """
    Store(address).write(_OWNER, json.dumps({"home": home, "path": path}).encode())


def owner_in(address: str) -> dict[str, str] | None:
    """What `keep_owner` has said there last; None where nothing is known.

    Raises:
        BucketError: the bucket refuses, or does not answer (BucketAway).
    """
    try:
        said = json.loads(Store(address).read(_OWNER))
        return {"home": str(said["home"]), "path": str(said["path"])}
    except (FileNotFoundError, ValueError, RecursionError, TypeError, LookupError):
        return None
