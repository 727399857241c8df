"""What it costs that a proposal of TPE looks at 500 trials only, and what it saves.

    python benchmarks/proposals.py [--trials 1500] [--seeds 5] [--only ackley]
    python benchmarks/proposals.py --cost [--parameters 20]

Both searches minimise the same known functions from the same seeds, and differ from trial 501 on:
`bounded` is `search.sampler: tpe`, `everything` the same with no bound. Of each search the best
value counts, less the function's minimum. With --cost: milliseconds of processor time a proposal
takes after so many trials.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.search.distributions import distribution, to_study
from sweeper.search.looked_at import LookedAt
from sweeper.search.sampler import Turn
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values, canonical
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.sweepfile.space import Draw

ALL = 10**6
Point = Mapping[str, Any]

# The functions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """A function of a space whose minimum is 0."""

    value: Callable[[Point], float]
    parameters: tuple[Parameter, ...]


def box(count: int, low: float, high: float) -> tuple[Parameter, ...]:
    """So many ranges, x0, x1, …"""
    return tuple(Parameter(f"x{place}", Range(low, high)) for place in range(count))


def coordinates(point: Point) -> np.ndarray:
    return np.array([point[f"x{place}"] for place in range(len(point))])


def ackley(point: Point) -> float:
    """Many shallow hollows around one deep one, off the middle."""
    x = coordinates(point) - 7.0
    ripples = np.exp(np.mean(np.cos(2 * np.pi * x)))
    return float(20 + np.e - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) - ripples)


def rosenbrock(point: Point) -> float:
    """A curved valley with a flat floor."""
    x = coordinates(point)
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def rastrigin(point: Point) -> float:
    """A bowl full of hollows, off the middle."""
    x = coordinates(point) - 1.3
    return float(10 * len(x) + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))


_A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8]]
_A.append([17, 8, 0.05, 10, 0.1, 14])
_P = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991]]
_P += [[2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]


def hartmann(point: Point) -> float:
    """Four hollows of different depth in six dimensions."""
    x = coordinates(point)
    inner = np.sum(np.array(_A) * (x - 1e-4 * np.array(_P)) ** 2, axis=1)
    return float(3.322368 - np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-inner))


def mixed(point: Point) -> float:
    """As sweeps are: rates on a logarithmic scale, a size, and a switch with a setting of its own,
    which is worth it only where that is right."""
    rates = sum((math.log10(point[name]) + 3.3) ** 2 for name in ("lr.g", "lr.d"))
    apart = abs(math.log10(point["lr.g"] / point["lr.d"]) - 0.4)
    size = 0.3 * abs(math.log2(point["size"]) - 5)
    decay = abs(point["decay"] - 0.993) * 40 if point["ema"] else 0.8
    return rates + apart + size + decay


MIXED = (
    Parameter("lr.g", Range(1e-5, 1e-1, log=True)),
    Parameter("lr.d", Range(1e-5, 1e-1, log=True)),
    Parameter("size", Values((8, 16, 32, 64, 128))),
    Parameter("ema", Toggle()),
    Parameter("decay", Range(0.9, 0.9999), when={"ema": (True,)}),
)

FUNCTIONS = {
    "ackley": Function(ackley, box(10, -20.0, 20.0)),
    "rosenbrock": Function(rosenbrock, box(5, -3.0, 3.0)),
    "rastrigin": Function(rastrigin, box(5, -5.0, 5.0)),
    "hartmann": Function(hartmann, box(6, 0.0, 1.0)),
    "mixed": Function(mixed, MIXED),
}

# A search --------------------------------------------------------------------------------------


class Search:
    """A search by TPE in memory, of which every proposal looks at `most` trials."""

    def __init__(self, parameters: tuple[Parameter, ...], most: int, seed: int) -> None:
        self._sweep = Sweep(
            name="known",
            base={"steps": 1},
            parameters=parameters,
            search=Tpe.Config(seed=seed, start_with_base=False),
            limits=Limits(trials=ALL),
        )
        self._domains = {parameter.path: parameter.domain for parameter in parameters}
        self._sampler = Tpe(self._sweep.search, self._sweep)
        self._sampler.looked_at = LookedAt([1], most)
        self._study = optuna.create_study()
        self._trials: list[FrozenTrial] = []
        self._tried: set[str] = set()
        self._seed = seed

    def propose(self) -> Draw:
        """The next point."""
        turn = Turn(
            index=len(self._trials),
            search_seed=self._seed,
            start=None,
            recall=list,
            study=self._study,
            number=len(self._trials),
            asked=(),
            tried=self._tried,
            own=[*self._trials],
        )
        return self._sampler.propose(turn)

    def tell(self, point: Point, loss: float) -> None:
        """What came of a point."""
        trial = create_trial(
            state=TrialState.COMPLETE,
            values=[loss],
            params={path: to_study(self._domains[path], value) for path, value in point.items()},
            distributions={path: distribution(self._domains[path]) for path in point},
            user_attrs={"role": "search", "values": dict(point), "config": {}},
        )
        trial.number = trial._trial_id = len(self._trials)
        self._trials.append(trial)
        self._tried.add(canonical(point))


def best_of(function: Function, most: int, trials: int, seed: int) -> float:
    """The lowest value that a search of so many trials has met."""
    search = Search(function.parameters, most, seed)
    best = math.inf
    for _ in range(trials):
        point = search.propose().values
        loss = function.value(point)
        search.tell(point, loss)
        best = min(best, loss)
    return best


def quality(names: list[str], trials: int, seeds: int, bound: int) -> None:
    print(f"best value of {trials} trials, less the minimum: median of {seeds} seeds")
    print(f"{'':<12}{'bounded':>12}{'everything':>12}   bounded is better for")
    wins = 0.0
    for name in names:
        found = {
            most: [best_of(FUNCTIONS[name], most, trials, seed) for seed in range(seeds)]
            for most in (bound, ALL)
        }
        pairs = list(zip(found[bound], found[ALL], strict=True))
        won = sum(1.0 if one < other else 0.5 if one == other else 0.0 for one, other in pairs)
        wins += won
        medians = (statistics.median(found[most]) for most in (bound, ALL))
        print(f"{name:<12}" + "".join(f"{one:>12.4g}" for one in medians), end="")
        print(f"   {won:g} of {seeds} seeds", flush=True)
    print(f"bounded is better in {wins:g} of {len(names) * seeds} searches; by chance in a half")


# Its cost --------------------------------------------------------------------------------------


def cost(parameters: int, sizes: list[int], proposals: int, bound: int) -> None:
    """Print what a proposal takes after so many random trials."""
    space = box(parameters, 0.0, 1.0)
    searches = {bound: Search(space, bound, 0), ALL: Search(space, ALL, 0)}
    rng = np.random.default_rng(0)
    print(f"milliseconds of processor time for one proposal of {parameters} parameters")
    print(f"{'trials':>8}{'bounded':>12}{'everything':>12}")
    for before, size in itertools.pairwise([0, *sizes]):
        for _ in range(size - before):
            point = {one.path: float(rng.random()) for one in space}
            for search in searches.values():
                search.tell(point, sum(point.values()))
        taken = []
        for search in searches.values():
            search.propose()  # the first one looks at every trial once
            began = time.process_time()
            for _ in range(proposals):
                search.propose()
            taken.append(1000 * (time.process_time() - began) / proposals)
        print(f"{size:>8}" + "".join(f"{one:>12.1f}" for one in taken), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=FUNCTIONS, help="may be repeated")
    parser.add_argument("--bound", type=int, default=500, help="trials that are looked at")
    parser.add_argument("--cost", action="store_true", help="how long a proposal takes")
    parser.add_argument("--parameters", type=int, default=20)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if given.cost:
        cost(given.parameters, [200, 500, 1000, 3000, 10_000], 5, given.bound)
    else:
        quality(given.only or list(FUNCTIONS), given.trials, given.seeds, given.bound)


if __name__ == "__main__":
    main()
