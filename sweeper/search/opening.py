"""Opening a sweep's study for writing: made where it is missing, refused where it is not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from sweeper.errors import SpecConflict
from sweeper.home import Home, SweepFolder
from sweeper.search.attributes import LEARNED
from sweeper.search.identity import refuse_without_study
from sweeper.search.journal import Journal, mend
from sweeper.search.learning import gathered
from sweeper.search.optuna_sampler import OptunaSampler
from sweeper.search.owner import Owner
from sweeper.search.sampler import Sampler
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.search.study_attributes import UNMARKED
from sweeper.sweepfile.model import Sweep


@dataclass(frozen=True)
class Opened:
    """A study and where it is kept. `journal` is None in a database; `identity` names the study for
    ever, also beside others of its name on a shared server."""

    study: optuna.Study
    storage: BaseStorage
    journal: Journal | None
    owner: Owner
    identity: str


def open_study(
    sweep: Sweep, folder: SweepFolder, storage: str | None, home: Home, *, adopt: bool
) -> Opened:
    """The study of a sweep, which this process drives from now on; `Ledger.open` says the rest."""
    learned: dict[str, Any] | None = None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mend(folder.study_journal)
    if not storage_exists(folder, storage):
        refuse_without_study(folder)
    place, journal = open_storage(folder, storage)
    if sweep.name not in optuna.get_all_study_names(place):
        refuse_without_study(folder)
        learned = gathered(sweep, home)  # what is refused has begun nothing
        directions = [objective.goal for objective in sweep.objective]
        optuna.create_study(
            storage=place,
            study_name=sweep.name,
            directions=directions,
            load_if_exists=True,  # another home may begin one of this name this instant
        )
    study = load_study(sweep, place)
    fingerprint = study.user_attrs.get("fingerprint")
    if fingerprint is not None and not sweep.answers_to(fingerprint):
        raise SpecConflict(
            f"the study {sweep.name!r} belongs to a sweep with another search space, base "
            "or objective; give this one another name"
        )
    if fingerprint is not None and UNMARKED not in study.user_attrs:
        _claim_unfinished(sweep, study, place)
    owner = Owner(study, folder, shared=journal is None)
    identity = owner.take(adopt=adopt)
    if isinstance(place, RDBStorage):
        owner.guard(place)
    if fingerprint is None:
        if learned := gathered(sweep, home) if learned is None else learned:
            study.set_user_attr(LEARNED, learned)
        study.set_user_attr("fingerprint", sweep.fingerprint)
    return Opened(study, place, journal, owner, identity)


def _claim_unfinished(sweep: Sweep, study: optuna.Study, storage: BaseStorage) -> None:
    """Make an entry the sweep's own that a driver of version 0.1 had begun when it was killed.

    It asked in several writes where Optuna drew. Later versions mark an entry as they make it.
    """
    entries = study.get_trials(deepcopy=False)
    last = entries[-1] if entries else None
    if last is None or last.state != TrialState.RUNNING or "config" in last.user_attrs:
        return
    if not sweep.is_ablation and isinstance(Sampler.of(sweep), OptunaSampler):
        storage.set_trial_user_attr(last._trial_id, "role", "search")
