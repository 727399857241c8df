"""Tree-structured Parzen estimator: proposes where good trials are dense and bad ones are not.

Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; multivariate, grouped by
condition (Falkner et al. 2018, arXiv 1807.01774), with a constant liar for trials that run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.parts import SamplerConfig
from sweeper.search.optuna_sampler import OptunaSampler
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Tpe(OptunaSampler):
    """Optuna's, which ranks a trial without a value behind all others: so it sees failures."""

    key = "tpe"
    summary = "tree-structured Parzen estimator"
    objectives = 2

    class Config(SamplerConfig):
        startup_trials: int = knob(10, "random trials before the first one modelled", ge=1)
        candidates: int = knob(24, "points that are compared for one proposal", ge=1)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.config.startup_trials,
            n_ei_candidates=self.config.candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        from sweeper.search.sampler_view import failures_pruned

        return failures_pruned(trials)
