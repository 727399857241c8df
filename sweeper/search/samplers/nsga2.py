"""A population that is crossed, mutated and sorted by dominance: for two objectives.

Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.parts import SamplerConfig
from sweeper.search.optuna_sampler import OptunaSampler
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Nsga2(OptunaSampler):
    """Optuna's, whose generations are read from the study."""

    key = "nsga2"
    summary = "a genetic algorithm for two objectives"
    objectives = 2

    class Config(SamplerConfig):
        population: int = knob(16, "configurations in one generation", ge=2)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.config.population, seed=seed)
