"""What it gains that a sampler learns from the rungs: asha with `bohb`, with `tpe`, and at random.

    python -m benchmarks.fidelity [--grace 90] [--seeds 40]         on recorded curves: four minutes
    python -m benchmarks.fidelity --train FOLDER [--trainings 10]   on the quickstart's space

Each search trains four configurations at a time until it has spent the steps of so many whole
trainings; those that asha stops leave theirs to others. What counts is the lowest FID of a training
that came to its last step, as for a sweep's winner, after a quarter, a half and all of the steps.
Differences are paired: the same search seed, another sampler.

Recorded curves are those of `benchmarks/curves.json`, between which a forest interpolates. With
`--train` every training is run, as `benchmarks.curves` shortens it, and kept in FOLDER, so that an
interrupted benchmark goes on where it stood.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.curves import EVERY, STEPS, Surrogate, space
from benchmarks.watcher import Trainings
from sweeper.search.distributions import distribution, to_study
from sweeper.search.sampler import Sampler, Turn
from sweeper.search.stopping_rule import StoppingRule
from sweeper.sweepfile import Sweep
from sweeper.sweepfile.domains import canonical
from sweeper.sweepfile.space import Draw

ARMS = ("random", "tpe", "bohb")
PARALLEL = 4
SHARES = (0.25, 0.5, 1.0)

Source = Callable[[Draw], Iterator[float]]
"""The curve of a configuration, FID by FID; one that falls apart ends early."""


def sweep_of(arm: str, seed: int, grace: int, settings: Sequence[str] = ()) -> Sweep:
    """The quickstart's space under asha, whose first rung is at `grace`, searched by a sampler."""
    search = f"{{sampler: {arm}, seed: {seed}, start_with_base: false}}"
    own = [f"search.{one}" for one in settings] if arm == "bohb" else []
    rule = f"{{name: asha, grace_steps: {grace}, reduction_factor: 3}}"
    return space(f"search={search}", f"scheduler={rule}", *own)


class Search:
    """A search in memory, as a driver would run it."""

    def __init__(self, sweep: Sweep) -> None:
        self._seed = sweep.search.seed
        self._domains = {parameter.path: parameter.domain for parameter in sweep.parameters}
        self._sampler = Sampler.of(sweep)
        self._rule = StoppingRule.of(sweep)
        self._study = optuna.create_study()
        self._trials: list[FrozenTrial] = []
        self._curves: dict[int, dict[int, float]] = {}
        self._tried: set[str] = set()

    def ask(self) -> tuple[int, Draw]:
        """The next trial: its number, and what is to be trained."""
        number = len(self._trials)
        turn = Turn(
            index=number,
            search_seed=self._seed,
            start=None,
            recall=list,
            study=self._study,
            number=number,
            asked=(),
            tried=self._tried,
            own=[*self._trials],
        )
        draw = self._sampler.propose(turn)
        assert draw is not None
        point = draw.values
        trial = create_trial(
            state=TrialState.RUNNING,
            params={path: to_study(self._domains[path], value) for path, value in point.items()},
            distributions={path: distribution(self._domains[path]) for path in point},
            system_attrs=turn.noted,
            user_attrs={"role": "search", "values": dict(point), "config": {}},
        )
        trial.number = trial._trial_id = number
        self._trials.append(trial)
        self._curves[number] = {}
        self._tried.add(canonical(point))
        return number, draw

    def report(self, number: int, fid: float) -> bool:
        """Take down the next value of a trial. Whether it goes on."""
        step = EVERY * (len(self._curves[number]) + 1)
        self._curves[number][step] = fid
        self._put(number, intermediate_values=dict(self._curves[number]))
        if step == STEPS:
            self._put(number, state=TrialState.COMPLETE, values=[fid])
        elif self._rule.verdict(number, self._curves) is not None:
            self._put(number, state=TrialState.PRUNED, values=[fid])
            self._end(number, "pruned", "scheduler")
        return self._trials[number].state == TrialState.RUNNING

    def fell_apart(self, number: int) -> None:
        """The next value of a trial is none."""
        self._put(number, state=TrialState.FAIL)
        self._end(number, "failed", "divergence")

    def finals(self) -> list[float]:
        """The last values of those that have completed."""
        return [trial.values[0] for trial in self._trials if trial.state == TrialState.COMPLETE]

    def _end(self, number: int, state: str, symptom: str) -> None:
        attrs = self._trials[number].user_attrs
        self._put(number, user_attrs={**attrs, "end": {"state": state, "symptom": symptom}})

    def _put(self, number: int, **changes: Any) -> None:
        """Another object for what has changed, as a storage hands out."""
        trial = copy.copy(self._trials[number])
        for name, value in changes.items():
            setattr(trial, name, value)
        self._trials[number] = trial


def searched(sweep: Sweep, source: Source, budget: int) -> list[float]:
    """The lowest last FID after each share of the budget, a number of training steps."""
    search = Search(sweep)
    running: list[tuple[int, Iterator[float]]] = []
    spent, turn = 0, 0
    found: list[float] = []
    while len(found) < len(SHARES):
        while len(running) < PARALLEL:
            number, draw = search.ask()
            running.append((number, source(draw)))
        place = turn % PARALLEL
        number, curve = running[place]
        fid = next(curve, math.nan)
        spent += EVERY
        if math.isnan(fid):
            search.fell_apart(number)
            running.pop(place)
        elif not search.report(number, fid):
            running.pop(place)
        else:
            turn += 1
        if spent >= SHARES[len(found)] * budget:
            found.append(min(search.finals(), default=math.nan))
    return found


def recorded() -> Source:
    """Curves from the table."""
    surrogate = Surrogate()
    return lambda draw: iter(surrogate.curve(draw.values))


def really_trained(folder: Path) -> Source:
    """Curves of trainings, which are run only as far as somebody asks."""
    trainings = Trainings(folder / "trainings", folder / "cache")

    def source(draw: Draw) -> Iterator[float]:
        for evaluation, _ in trainings.evaluations({**draw.config, "device": "cpu"}):
            fid = evaluation.metrics["fid"]
            if not math.isfinite(fid):
                return
            yield fid

    return source


def show(found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print mean and standard deviation of every sampler, and the paired differences."""
    runs = {arm: np.array(rows) for arm, rows in found.items()}
    print(f"{'lowest FID after':<20}" + "".join(f"{share:>15.0%}" for share in SHARES))
    for arm, rows in runs.items():
        print(f"{arm:<20}" + _spreads(rows))
    for other in list(runs)[:-1]:
        differences = runs["bohb"] - runs[other]
        print(f"{f'bohb less {other}':<20}" + _spreads(differences))
        better = ((differences < 0) + 0.5 * (differences == 0)).sum(axis=0)
        of = len(differences)
        print(f"{'  lower for':<20}" + "".join(f"{f'{count:g} of {of}':>15}" for count in better))


def _spreads(rows: np.ndarray) -> str:
    """Mean and deviation of each column; nothing where a search had no whole training yet."""
    spreads = (f"{np.mean(column):.2f} ± {np.std(column, ddof=1):.2f}" for column in rows.T)
    return "".join(f"{'-' if 'nan' in spread else spread:>15}" for spread in spreads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="run the trainings, kept here")
    parser.add_argument("--seeds", type=int, help="40 on recorded curves, 5 where it trains")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trainings", type=int, default=40, help="whose steps a search may spend")
    parser.add_argument("--grace", type=int, default=EVERY, help="steps before the first rung")
    parser.add_argument("--set", action="append", default=[], help="of bohb: random_share=0.2")
    parser.add_argument(
        "--against", nargs="+", choices=ARMS[:-1], default=list(ARMS[:-1]), help="bohb's opponents"
    )
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    source = really_trained(given.train) if given.train else recorded()
    count = given.seeds or (5 if given.train else 40)
    seeds = range(given.first_seed, given.first_seed + count)
    budget = given.trainings * STEPS
    found: dict[str, list[list[float]]] = {arm: [] for arm in (*given.against, ARMS[-1])}
    for seed in seeds:
        for arm in found:
            found[arm].append(searched(sweep_of(arm, seed, given.grace, given.set), source, budget))
            told = "".join(f"{fid:>9.2f}" for fid in found[arm][-1])
            print(f"seed {seed} {arm:<8}{told}", flush=True)
    show(found)


if __name__ == "__main__":
    main()
