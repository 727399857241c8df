"""Reading a study, by anyone, also while its driver writes it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import optuna
from optuna.storages import BaseStorage

from sweeper.home import SweepFolder
from sweeper.protocols import measured_in, present
from sweeper.search import attributes
from sweeper.search.attributes import translated
from sweeper.search.each_once import EachOnce
from sweeper.search.entries import Entries
from sweeper.search.foreign import foreign_entry
from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.identity import refuse_strangers, refuse_without_study
from sweeper.search.learned import in_words
from sweeper.search.lineage import Segment, lineage_of
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.search.study_attributes import BUDGET, with_finals
from sweeper.standings import Standings, standings_of
from sweeper.standings.following import following
from sweeper.standings.usage import Usage
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial

if TYPE_CHECKING:
    from sweeper.ablation.search_statistics import Importance
    from sweeper.search.importances import Method


class StudyReader:
    """The study of one sweep as it can be read."""

    def __init__(self, sweep: Sweep, study: optuna.Study, storage: BaseStorage) -> None:
        self.sweep = sweep
        self._study = study
        self._entries = Entries(study, storage)
        self._made = EachOnce(attributes.trial_of)
        self._standings: Standings | None = None

    def trial(self, number: int) -> Trial:
        """One trial."""
        final = attributes.finals(self._study.user_attrs).get(number)
        return attributes.trial_of(self._entries.get(number), final)

    def begins_anew(self, number: int) -> bool:
        """Whether the trial's checkpoint, if it has one, is to be left aside."""
        return bool(self._entries.get(number).user_attrs.get(attributes.ANEW))

    def trials(self) -> list[Trial]:
        """All trials in the order of their numbers. One that nobody has written to since it was
        last asked for is the same object as then."""
        with translated():
            trials = self._made.of(self._entries.all())
            return with_finals(trials, self._study.user_attrs)

    @property
    def learned(self) -> str:
        """From what the search has learned before its first trial, in words."""
        return in_words(self._study)

    def lineage(self, number: int) -> tuple[Segment, ...]:
        """What went into the trial up to its last evaluation, its donors' training first."""
        reached = max(attributes.evaluations(self._entries.get(number).user_attrs), default=0)
        return lineage_of(self._entries.get, number, reached)

    def standings(self) -> Standings:
        """All trials with what follows from them, under the protocol that the study has."""
        trials = self.trials()
        protocol = present(self._study.user_attrs.get(attributes.PROTOCOL), measured_in(trials))
        now = standings_of(self.sweep, trials, self.planned, protocol)
        self._standings = following(self._standings, now)
        return self._standings

    def foreign(self) -> list[ForeignEntry]:
        """What other people have put into the study: it decides nothing."""
        with translated():
            return [foreign_entry(entry) for entry in self._entries.foreign()]

    def counts(self) -> Counter[str]:
        """How many trials there are by role (`search` counts the base configuration) and state."""
        count: Counter[str] = Counter()
        for entry in self._entries.all():
            replicate = entry.user_attrs.get("role") == "replicate"
            count["replicate" if replicate else "search"] += 1
            count[entry.state.name.lower()] += 1
        return count

    @property
    def planned(self) -> int | None:
        """How many trials there will be before any confirmation, as the last driver knew it: which
        cells of an ablation are possible only torch can say."""
        budget: int | None = self._study.user_attrs.get(BUDGET)
        return budget

    @property
    def foreign_parts(self) -> dict[str, str]:
        """Whose parts the sweep was last run with: name → version or hash of the source."""
        return dict(self._study.user_attrs.get("company", {}))

    @property
    def readings(self) -> dict[str, int]:
        """How many changed meanings were known when the sweep last ran (`changed_meanings`)."""
        return dict(self._study.user_attrs.get("readings", {}))

    @property
    def used(self) -> Usage:
        """What the sweep has used, all its runs together."""
        return Usage.read(self._study.user_attrs)

    def importances(self, method: Method = "ped_anova") -> dict[str, Importance]:
        """Importance of each searched parameter for the first objective (`importances_of`)."""
        from sweeper.search.importances import importances_of  # imports SciPy

        stored = self._study.user_attrs.get(attributes.PROTOCOL)
        protocol = present(stored, attributes.measured(self._entries.all()))
        return importances_of(self.sweep, self._study, protocol, method)


def read_study(sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> StudyReader | None:
    """The study of a sweep, which another process may be writing. None where there is none yet.

    `storage` is that of `Ledger.open`.

    Raises:
        LedgerError: the study cannot be read, or is gone.
        AnotherHome: it is driven from another home.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with translated(folder.path):
        if storage_exists(folder, storage):
            place, journal = open_storage(folder, storage)
            if sweep.name in optuna.get_all_study_names(place):
                study = load_study(sweep, place)
                if journal is None:
                    refuse_strangers(sweep.name, study.user_attrs, folder)
                return StudyReader(sweep, study, place)
        refuse_without_study(folder)
    return None
