"""What a sweep's folder says of itself, by which it is known to be its study's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sweeper.errors import AnotherHome, LedgerError
from sweeper.home import SweepFolder, writing
from sweeper.search.study_attributes import OWNER
from trials.files import atomic_write


@dataclass(frozen=True)
class Identity:
    """What a sweep's folder says of itself: its `home` name, and the id of the `study` that it has
    begun, None before that."""

    home: str
    study: str | None = None

    @classmethod
    def of(cls, folder: SweepFolder) -> Self | None:
        """That of a folder; None where it has none yet.

        Raises:
            LedgerError: the file was damaged.
        """
        try:
            said = json.loads(folder.identity.read_bytes())
            home, study = said["home"], said["study"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, TypeError, LookupError) as error:
            raise LedgerError(
                f"{folder.identity} is damaged: restore it from a backup, or remove it and run "
                "the sweep with --adopt"
            ) from error
        return cls(str(home), None if study is None else str(study))

    def keep(self, folder: SweepFolder) -> None:
        """Write it down."""
        with writing(folder.path):
            atomic_write(folder.identity, json.dumps(asdict(self)) + "\n")


def is_copy(folder: SweepFolder, owner: Mapping[str, Any]) -> bool:
    """Whether this folder was copied from the owner's, which is still there and has its name."""
    there = SweepFolder(Path(owner["path"]))
    if there.path == folder.path or _is_same(there.path, folder.path):
        return False
    try:
        original = Identity.of(there)
    except LedgerError:
        return False
    return original is not None and original.home == owner["home"]


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, such as through a link."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def refuse_strangers(name: str, attrs: Mapping[str, Any], folder: SweepFolder) -> None:
    """See that the study of this name and these attributes, in a database, is this folder's to
    show.

    Raises:
        AnotherHome: it is driven from another folder.
    """
    identity, owner = Identity.of(folder), attrs.get(OWNER)
    if owner is not None and (identity is None or identity.home != owner["home"]):
        raise AnotherHome(refusal(name, owner["path"]))


def refuse_without_study(folder: SweepFolder) -> None:
    """See that a folder whose study is not there has never begun one.

    Raises:
        LedgerError: it has.
    """
    identity = Identity.of(folder)
    begun = identity is not None and identity.study is not None
    # Before version 0.2 there was no identity, but a trial's folder came after the study.
    if begun or (folder.trials.is_dir() and any(folder.trials.iterdir())):
        raise LedgerError(lost(folder))


def refusal(name: str, path: str) -> str:
    """Why a study is not shown in this home."""
    return (
        f"the study {name!r} is driven from {path}, and two homes cannot share one: give this "
        "sweep another name, or, if that home is no longer used, make the study this one's by "
        "`sweeper run FILE --adopt`"
    )


def lost(folder: SweepFolder) -> str:
    """Why a folder without its study is not opened."""
    return (
        f"the study of {folder.path} is gone: restore {folder.study_journal.name} from a backup, "
        "set SWEEPER_STORAGE as it was where the study is in a database, or remove the folder to "
        "begin from the start"
    )
