"""Taking a study away, where it is not a file in the sweep's folder."""

from __future__ import annotations

import optuna

from sweeper.errors import AnotherHome
from sweeper.home import SweepFolder
from sweeper.search.attributes import translated
from sweeper.search.identity import refuse_strangers
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.sweepfile.model import Sweep


def remove_study(sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> None:
    """Delete the sweep's study from the database that `Ledger.open` would keep it in; one that is
    driven from another home stays, and so does a journal, which goes with its folder.

    Raises:
        LedgerError: the database cannot be read or written.
    """
    with translated(folder.path):
        if not storage_exists(folder, storage):
            return
        place, journal = open_storage(folder, storage)
        if journal is not None or sweep.name not in optuna.get_all_study_names(place):
            return
        try:
            refuse_strangers(sweep.name, load_study(sweep, place).user_attrs, folder)
        except AnotherHome:
            return
        optuna.delete_study(study_name=sweep.name, storage=place)
