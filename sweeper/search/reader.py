"""Reading a study, by anyone, also while its driver writes it."""

from __future__ import annotations

from collections import Counter

import optuna
from optuna.storages import BaseStorage

from sweeper.ablation.search_statistics import Importance
from sweeper.home import SweepFolder
from sweeper.search import attributes
from sweeper.search.attributes import number_of, translated
from sweeper.search.entries import Entries
from sweeper.search.importances import Method, importances_of
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial


class StudyReader:
    """The study of one sweep as it can be read."""

    def __init__(self, sweep: Sweep, study: optuna.Study, storage: BaseStorage) -> None:
        self.sweep = sweep
        self._study = study
        self._entries = Entries(study, storage)

    def trial(self, number: int) -> Trial:
        """One trial."""
        final = self._study.user_attrs.get(f"{attributes.FINAL}{number}")
        return attributes.trial_of(self._entries.get(number), final)

    def trials(self) -> list[Trial]:
        """All trials in the order of their numbers."""
        with translated():
            study = self._study.user_attrs
            return [
                attributes.trial_of(entry, study.get(f"{attributes.FINAL}{number_of(entry)}"))
                for entry in self._entries.all()
            ]

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
        budget: int | None = self._study.user_attrs.get("budget")
        return budget

    @property
    def company(self) -> dict[str, str]:
        """Whose parts the sweep was last run with: name → version or hash of the source."""
        return dict(self._study.user_attrs.get("company", {}))

    @property
    def seconds(self) -> float:
        """Seconds that drivers have spent on this sweep, all runs together."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def importances(self, method: Method = "ped_anova") -> dict[str, Importance]:
        """Importance of each searched parameter for the first objective (`importances_of`)."""
        return importances_of(self.sweep, self._study, method)


def read_study(sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> StudyReader | None:
    """The study of a sweep, which another process may be writing. None where there is none yet.

    `storage` is that of `Ledger.open`.

    Raises:
        LedgerError: the study cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not storage_exists(folder, storage):
        return None
    with translated(folder.path):
        place, _ = open_storage(folder, storage)
        if sweep.name not in optuna.get_all_study_names(place):
            return None
        return StudyReader(sweep, load_study(sweep, place), place)
