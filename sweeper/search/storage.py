"""Where studies are kept: the journal in the sweep's folder, or a database."""

from __future__ import annotations

import os
import weakref

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage

from sweeper.home import SweepFolder
from sweeper.search.journal import Journal
from sweeper.sweepfile.model import Sweep

STORAGE_VARIABLE = "SWEEPER_STORAGE"
"""Environment variable with the URL of a database to keep studies in, in place of the journal.

Not part of a sweep file: such addresses tend to hold passwords, and files travel."""


def open_storage(folder: SweepFolder, url: str | None) -> tuple[BaseStorage, Journal | None]:
    """The storage at `url`, else at $SWEEPER_STORAGE, else the folder's journal (given too)."""
    url = url or os.environ.get(STORAGE_VARIABLE)
    if url:
        database = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        # A listing opens studies by the dozen: none may keep its connections until it is collected.
        weakref.finalize(database, database.engine.dispose)
        return database, None
    journal = Journal(folder.study_journal)
    return JournalStorage(journal), journal


def storage_exists(folder: SweepFolder, url: str | None) -> bool:
    """Whether there is anything to open, without making it."""
    return bool(url or os.environ.get(STORAGE_VARIABLE)) or folder.study_journal.exists()


def load_study(sweep: Sweep, storage: BaseStorage) -> optuna.Study:
    """The sweep's study in a storage that has it."""
    # The sampler and the pruner are never asked: `asking` and `stopping` decide.
    return optuna.load_study(
        storage=storage,
        study_name=sweep.name,
        sampler=optuna.samplers.RandomSampler(0),
        pruner=optuna.pruners.NopPruner(),
    )
