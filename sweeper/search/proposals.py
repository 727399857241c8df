"""Samplers whose every proposal is a function of the sweep, the trial's place and the results.

random    independent draws
qmc       a scrambled Sobol or Halton sequence over all parameters, conditional ones included
          (Bergstra & Bengio 2012, section 5)
cmaes     CMA-ES over the ranges that always apply (Hansen 2016, arXiv 1604.00772); independent
          draws for the rest

They keep no state but the study: CMA-ES is run again over the finished generations for each
proposal (microseconds a generation), so there is nothing to save, to lose or to unpickle.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeper.search.distributions import at, quantile
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Choose


@dataclass(frozen=True)
class Result:
    """What came of one proposal of the search.

    `loss` is the first objective, to be minimised; None while the trial runs and, of a finished
    one, when it failed before it was measured.
    """

    values: Mapping[str, Any]
    loss: float | None
    finished: bool


def mix(seed: int, *place: object) -> int:
    """A 32-bit seed for one place in a sweep: unrelated for different places, always the same."""
    text = ":".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def worse_than(losses: Sequence[float]) -> float:
    """The loss that a failure stands for beside `losses`: a little worse than the worst of them."""
    if not losses:
        return 0.0
    worst = max(losses)
    return worst + 0.1 * (worst - min(losses) or max(1.0, abs(worst)))


def random_point(sweep: Sweep, index: int) -> Choose:
    """Independent uniform draws for the proposal at `index` (from 0)."""
    rng = np.random.default_rng(mix(sweep.search.seed, index))
    return lambda parameter: at(parameter, rng.random())


def sequence_point(sweep: Sweep, index: int) -> Choose:
    """The point at `index` of a low-discrepancy sequence with one dimension a parameter."""
    from scipy.stats import qmc

    size = max(1, len(sweep.parameters))
    kind = qmc.Halton if sweep.search.sequence == "halton" else qmc.Sobol
    engine = kind(size, scramble=True, rng=np.random.default_rng(sweep.search.seed))
    if index:  # SciPy cannot skip no point at all
        engine.fast_forward(index)
    with warnings.catch_warnings():
        # SciPy says that one point of a Sobol sequence is not balanced; the sequence is.
        warnings.simplefilter("ignore", UserWarning)
        point = engine.random(1)[0]
    dimension = {parameter.path: place for place, parameter in enumerate(sweep.parameters)}
    return lambda parameter: at(parameter, float(point[dimension[parameter.path]]))


def evolved_point(
    sweep: Sweep, index: int, start: Mapping[str, Any], results: Sequence[Result]
) -> Choose:
    """The proposal of CMA-ES at `index`, after the search's earlier `results` in order.

    A generation is as many proposals in a row; it counts once all of them have finished, and
    failures count as its worst. The first one is drawn around `start` where that has a value.
    """
    from cmaes import CMA  # type: ignore[import-untyped]

    fallback = random_point(sweep, index)
    dimensions = [
        parameter
        for parameter in sweep.parameters
        if isinstance(parameter.domain, Range)
        and not parameter.when
        and parameter.domain.low < parameter.domain.high
    ]
    if not dimensions:
        return fallback
    mean = np.array([_start(parameter, start) for parameter in dimensions])
    strategy = CMA(
        mean=mean,
        sigma=sweep.search.sigma or 0.2,
        bounds=np.tile([0.0, 1.0], (len(dimensions), 1)),
        seed=mix(sweep.search.seed, index),
        n_max_resampling=100,
    )
    worst = worse_than([result.loss for result in results if result.loss is not None])
    size = strategy.population_size
    for first in range(0, len(results) - size + 1, size):
        generation = results[first : first + size]
        if not all(result.finished for result in generation):
            break
        strategy.tell([(_point(dimensions, one), _loss(one, worst)) for one in generation])
    drawn = dict(zip((one.path for one in dimensions), strategy.ask(), strict=True))

    def choose(parameter: Parameter) -> Any:
        u = drawn.get(parameter.path)
        return fallback(parameter) if u is None else at(parameter, min(float(u), 1 - 1e-12))

    return choose


def _start(parameter: Parameter, start: Mapping[str, Any]) -> float:
    return quantile(parameter, start[parameter.path]) if parameter.path in start else 0.5


def _point(dimensions: Sequence[Parameter], result: Result) -> Any:
    return np.array(
        [quantile(parameter, result.values[parameter.path]) for parameter in dimensions]
    )


def _loss(result: Result, worst: float) -> float:
    return worst if result.loss is None else result.loss
