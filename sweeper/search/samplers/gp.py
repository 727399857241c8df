"""A Gaussian process over what every trial has, and where it expects the highest improvement.

What depends on another parameter, as the knobs of a trick that may be off, is drawn at random.

Snoek et al. 2012, Practical Bayesian Optimization of Machine Learning Algorithms, arXiv 1206.2944.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.parts import LearningConfig
from sweeper.search.optuna_sampler import OptunaSampler
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class GaussianProcess(OptunaSampler):
    """Optuna's, fitted afresh for each proposal."""

    key = "gp"
    summary = "Gaussian process with expected improvement, over what always applies"
    dependent_at_random = True

    class Config(LearningConfig):
        startup_trials: int = knob(10, "random trials before the first one modelled", ge=1)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        return GPSampler(n_startup_trials=self.config.startup_trials, seed=seed)
