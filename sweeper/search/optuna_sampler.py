"""Samplers that draw through Optuna: the base of those that are one of its `BaseSampler`s.

A new sampler is made for each proposal, seeded by the search's seed and the trial's place: what
it proposes depends on the study alone, so a resumed sweep asks what the uninterrupted one would
have asked.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from sweeper.search.sampler import Sampler, Turn
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, walk

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from sweeper.search.sampler_view import SamplerView


class OptunaSampler(Sampler):
    """A sampler of Optuna's: subclasses say how it is made."""

    def __init__(self, config: Any, sweep: Sweep) -> None:
        super().__init__(config, sweep)
        self._view: SamplerView | None = None

    @abstractmethod
    def make(self, seed: int) -> BaseSampler:
        """A fresh sampler with this seed, 32 bits. Import Optuna here, not at the top."""

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The search's trials as the sampler sees them: failures are the worst of all."""
        from sweeper.search.sampler_view import failures_worst

        return failures_worst(trials, self.signs)

    @property
    def signs(self) -> list[int]:
        """1 for each objective that is minimised, -1 for each that is maximised."""
        return [1 if objective.goal == "minimize" else -1 for objective in self.sweep.objective]

    def view(self, study: Study) -> SamplerView:
        """The study as the sampler sees it."""
        from sweeper.search.sampler_view import SamplerView

        if self._view is None:
            self._view = SamplerView(self.sweep, study, self.seen)
        return self._view

    def propose(self, turn: Turn) -> Draw:
        """Draw in a draft of a trial of Optuna's."""
        from optuna.trial import Trial

        from sweeper.search.distributions import distribution, from_study, suggest
        from sweeper.search.draft import DRAFT, Draft
        from sweeper.search.enqueued import POINT, stored

        view = self.view(turn.study)
        draft = Draft(turn.study._storage, turn.number)
        if turn.fixed:
            draft.trial.system_attrs[POINT] = stored(self.sweep, turn.fixed)
        view.look(self._made(turn.seed()), draft, turn.protocol, turn.own)
        trial = Trial(view, DRAFT)
        # What is drawn jointly comes first. Each of the others has a seed of its own.
        jointly = trial.relative_params

        def choose(parameter: Parameter) -> Any:
            if parameter.path not in jointly:
                view.sampler = self._made(turn.seed(parameter.path))
            stored = suggest(trial, parameter.path, distribution(parameter.domain))
            return from_study(parameter.domain, stored)

        draw = walk(self.sweep, choose)
        turn.noted |= draft.trial.system_attrs
        return draw

    def honour(self, turn: Turn) -> Draw:
        return self.propose(turn)

    def _made(self, seed: int) -> BaseSampler:
        from optuna.exceptions import ExperimentalWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self.make(seed)
