"""A sweep goes away with all that it has left: MLflow's runs → the study → what its trials have
published → the folder.

Each step may be made again, so that a kill in the middle costs nothing but time. Of a sweep that
another home drives by now only the folder and what this home's own MLflow has of it go.
"""

from __future__ import annotations

import logging
import shutil
import uuid

from sweeper.bucket.place import owner_in, place_of
from sweeper.bucket.store import Store
from sweeper.home import Home, SweepFolder, writing
from sweeper.search.identity import Identity, is_copy
from sweeper.search.reader import read_study
from sweeper.search.removal import driven_elsewhere, remove_study
from sweeper.sweepfile.model import Sweep
from sweeper.tracking.address import database_file, tracking_uri
from sweeper.tracking.removal import remove_runs

log = logging.getLogger(__name__)


def remove_sweep(home: Home, folder: SweepFolder, sweep: Sweep) -> bool:
    """Remove all of a sweep that nobody drives here. False where that has to be asked for again in
    a while: something is still on its way to MLflow.

    Raises:
        SweeperError: MLflow, the study's database or the bucket cannot be reached; the rest is
            still there.
        UserError: its folder cannot be removed.
    """
    elsewhere = driven_elsewhere(sweep, folder) or _published_by(folder)
    if elsewhere:
        told = "only the files of this home in %s are removed: all else now belongs to %s"
        log.warning(told, folder.path, elsewhere)
    # This home's own record of it is nobody else's.
    if (not elsewhere or _is_recorded_here(home, sweep)) and not _remove_runs(home, folder, sweep):
        return False
    if not elsewhere:
        _remove_outside(folder, sweep)
    # By one rename, so that no half of a sweep is ever found under its name.
    bin_ = home.path / f".deleted-{uuid.uuid4().hex}"
    with writing(folder.path):
        if folder.path.exists():
            folder.path.rename(bin_)
            shutil.rmtree(bin_)
    return True


def _published_by(folder: SweepFolder) -> str:
    """The folder of another home whose trials publish where those of this one did; empty where
    that is not so. A journal does not tell: it may have been copied."""
    address = place_of(folder)
    owner = owner_in(address) if address else None
    identity = Identity.of(folder)
    if owner is None or (
        identity is not None and identity.home == owner["home"] and not is_copy(folder, owner)
    ):
        return ""
    return owner["path"]


def _is_recorded_here(home: Home, sweep: Sweep) -> bool:
    return database_file(tracking_uri(home.path, sweep.tracking.uri)) == home.mlflow_db.absolute()


def _remove_runs(home: Home, folder: SweepFolder, sweep: Sweep) -> bool:
    """Remove what MLflow has of a sweep; False as of `remove_sweep`."""
    identity = Identity.of(folder)
    if identity is not None and identity.study is not None:
        uri = tracking_uri(home.path, sweep.tracking.uri)
        artifacts = home.mlartifacts
        if not remove_runs(uri, sweep.name, identity.study, folder.outbox, artifacts):
            return False
        # No study is named any more: a folder that names one which is gone is not opened.
        Identity(identity.home).keep(folder)
    return True


def _remove_outside(folder: SweepFolder, sweep: Sweep) -> None:
    """Remove what a sweep has in other places than its folder and MLflow."""
    remove_study(sweep, folder)
    if address := place_of(folder):
        published = Store(address)
        published.remove(published.listed())


def is_empty(folder: SweepFolder, sweep: Sweep) -> bool:
    """Whether a sweep that was begun has nothing yet: no trial, no entry of other people's.

    Raises:
        LedgerError: its study cannot be read.
        AnotherHome: it is driven from another home.
    """
    study = read_study(sweep, folder)
    return study is None or not (study.trials() or study.foreign())
