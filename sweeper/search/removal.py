"""Taking a study away, where it is not a file in the sweep's folder."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from sweeper.errors import AnotherHome
from sweeper.home import SweepFolder
from sweeper.search.attributes import translated
from sweeper.search.identity import refuse_strangers
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.search.study_attributes import OWNER
from sweeper.sweepfile.model import Sweep


def driven_elsewhere(sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> str:
    """The folder of another home from which the sweep's study, in the database that `Ledger.open`
    would keep it in, is driven by now; empty where it is not, or where a journal has it.

    Raises:
        LedgerError: the database cannot be read.
    """
    with translated(folder.path):
        place = _database_with(sweep, folder, storage)
        return "" if place is None else _of_another(sweep, folder, place)


def remove_study(sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> None:
    """Delete the sweep's study from the database that `Ledger.open` would keep it in; one that is
    driven from another home stays, and so does a journal, which goes with its folder.

    Raises:
        LedgerError: the database cannot be read or written.
    """
    with translated(folder.path):
        place = _database_with(sweep, folder, storage)
        if place is not None and not _of_another(sweep, folder, place):
            optuna.delete_study(study_name=sweep.name, storage=place)


def _database_with(sweep: Sweep, folder: SweepFolder, storage: str | None) -> BaseStorage | None:
    if not storage_exists(folder, storage):
        return None
    place, journal = open_storage(folder, storage)
    there = journal is None and sweep.name in optuna.get_all_study_names(place)
    return place if there else None


def _of_another(sweep: Sweep, folder: SweepFolder, place: BaseStorage) -> str:
    attrs = load_study(sweep, place).user_attrs
    try:
        refuse_strangers(sweep.name, attrs, folder)
    except AnotherHome:
        return str(attrs[OWNER]["path"])
    return ""
