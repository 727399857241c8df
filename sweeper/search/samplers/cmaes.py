"""CMA-ES over the ranges that always apply, independent draws for the rest.

Hansen 2016, The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772. It keeps no state but the
study: the strategy is run again over the finished generations for each proposal (microseconds a
generation), so there is nothing to save, to lose or to unpickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.parts import SamplerConfig
from sweeper.search.quantiles import at, quantile
from sweeper.search.sampler import Result, Sampler, Turn, independent
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.space import Draw, walk
from trials.part import knob


def worse_than(losses: Sequence[float]) -> float:
    """The loss that a failure stands for beside `losses`: a little worse than the worst of them."""
    if not losses:
        return 0.0
    worst = max(losses)
    return worst + 0.1 * (worst - min(losses) or max(1.0, abs(worst)))


def evolved_point(
    dimensions: Sequence[Parameter],
    start: Mapping[str, Any],
    results: Sequence[Result],
    *,
    sigma: float,
    seed: int,
) -> dict[str, float]:
    """Path → quantile of the next point, after the earlier `results` in their order.

    A generation is as many proposals in a row; it counts once all of them have finished, and
    failures count as its worst. The first one is drawn around `start` where that has a value, with
    standard deviation `sigma`, a share of each range.
    """
    import numpy as np
    from cmaes import CMA  # type: ignore[import-untyped]

    strategy = CMA(
        mean=np.array([_start(parameter, start) for parameter in dimensions]),
        sigma=sigma,
        bounds=np.tile([0.0, 1.0], (len(dimensions), 1)),
        seed=seed,
        n_max_resampling=100,
    )
    worst = worse_than([result.loss for result in results if result.loss is not None])
    size = strategy.population_size
    for first in range(0, len(results) - size + 1, size):
        generation = results[first : first + size]
        if not all(result.finished for result in generation):
            break
        strategy.tell([(_point(dimensions, entry), _loss(entry, worst)) for entry in generation])
    return dict(
        zip((dimension.path for dimension in dimensions), map(float, strategy.ask()), strict=True)
    )


class CmaEs(Sampler):
    """Adapts the covariance of its draws to what was good."""

    key = "cmaes"
    summary = "covariance matrix adaptation over the ranges that always apply"
    dependent_at_random = True

    class Config(SamplerConfig):
        sigma: float = knob(0.2, "first step size, as a share of each range", gt=0)

    def propose(self, turn: Turn) -> Draw:
        fallback = independent(turn)
        dimensions = [
            parameter
            for parameter in self.sweep.parameters
            if isinstance(parameter.domain, Range)
            and not parameter.when
            and parameter.domain.low < parameter.domain.high
        ]
        if not dimensions:
            return walk(self.sweep, fallback)
        drawn = evolved_point(
            dimensions, turn.start or {}, turn.results, sigma=self.config.sigma, seed=turn.seed()
        )

        def choose(parameter: Parameter) -> Any:
            u = drawn.get(parameter.path)
            return fallback(parameter) if u is None else at(parameter, min(u, 1 - 1e-12))

        return walk(self.sweep, choose)


def _start(parameter: Parameter, start: Mapping[str, Any]) -> float:
    return quantile(parameter, start[parameter.path]) if parameter.path in start else 0.5


def _point(dimensions: Sequence[Parameter], result: Result) -> Any:
    import numpy as np

    return np.array(
        [quantile(parameter, result.values[parameter.path]) for parameter in dimensions]
    )


def _loss(result: Result, worst: float) -> float:
    return worst if result.loss is None else result.loss
