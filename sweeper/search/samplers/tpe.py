"""Tree-structured Parzen estimator: proposes where good trials are dense and bad ones are not.

Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; multivariate, grouped by
condition (Falkner et al. 2018, arXiv 1807.01774), with a constant liar for trials that run. What is
believed of a parameter leads at first and fades (`sweeper.search.belief`, arXiv 2204.11051).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sweeper.parts import Fault, LearningConfig
from sweeper.search.belief import Belief, faults_of
from sweeper.search.each_once import EachOnce
from sweeper.search.optuna_sampler import OptunaSampler
from sweeper.sweepfile.domains import Parameter
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from sweeper.search.looked_at import LookedAt


class Tpe(OptunaSampler):
    """Optuna's, which ranks a trial without a value behind all others: so it sees failures. Of a
    long search it looks at some (`sweeper.search.looked_at`)."""

    key = "tpe"
    summary = "tree-structured Parzen estimator"
    objectives = 2

    class Config(LearningConfig):
        startup_trials: int = knob(10, "random trials before the first one modelled", ge=1)
        candidates: int = knob(24, "points that are compared for one proposal", ge=1)
        prior: Mapping[str, Belief] | None = knob(
            None, "what is believed of parameters: parameter → center and spread, weights, or on"
        )
        prior_weight: float = knob(10.0, "after so many trials a belief counts once", gt=0)

    @classmethod
    def check(cls, config: Any, parameters: Sequence[Parameter]) -> Iterable[Fault]:
        return faults_of(config.prior or {}, parameters)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        settings: dict[str, Any] = {
            "n_startup_trials": self.config.startup_trials,
            "n_ei_candidates": self.config.candidates,
            "multivariate": True,
            "group": True,
            "constant_liar": True,
            "seed": seed,
        }
        if not self.config.prior:
            return TPESampler(**settings)
        from sweeper.search.believing_tpe import BelievingTPE

        return BelievingTPE(self.sweep, self.config.prior, self.config.prior_weight, **settings)

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        return self.looked_at.of(self.softened.of(trials))

    @cached_property
    def softened(self) -> EachOnce[FrozenTrial, FrozenTrial]:
        from sweeper.search.sampler_view import failure_pruned

        return EachOnce(failure_pruned)

    @cached_property
    def looked_at(self) -> LookedAt:
        from sweeper.search.looked_at import LookedAt

        return LookedAt(self.signs)
