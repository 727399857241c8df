"""A population that is crossed, mutated and sorted by dominance: for two objectives.

Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II. What depends on
another parameter, as the knobs of a trick that may be off, is drawn at random.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.parts import SamplerConfig
from sweeper.search.optuna_sampler import OptunaSampler
from trials.part import knob

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class Nsga2(OptunaSampler):
    """Optuna's, whose generations are read from the study. The base, what somebody has given to
    try, and points beside its own belong to the generation in which they were asked."""

    key = "nsga2"
    summary = "a genetic algorithm for two objectives, over what always applies"
    dependent_at_random = True
    objectives = 2

    class Config(SamplerConfig):
        population: int = knob(16, "configurations in one generation", ge=2)

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(population_size=self.config.population, seed=seed)

    def seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        return in_generations(super().seen(trials))


def in_generations(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """These trials, in the order in which they were asked, each with its generation: one that is no
    proposal of the sampler's is of that of the proposal before it, or else of the first."""
    from optuna.samplers import NSGAIISampler

    key = NSGAIISampler._get_generation_key()
    generation, shown = 0, []
    for trial in trials:
        if key in trial.system_attrs:
            generation = trial.system_attrs[key]
        else:
            trial = copy.copy(trial)
            trial.system_attrs = {**trial.system_attrs, key: generation}
        shown.append(trial)
    return shown
