"""A sweep as its own run in MLflow, the parent of its trials': what came of it as metrics and tags.

    best/fid            best value of the search so far, by how many trials were over
    confirmed/fid       the winner's mean on fresh seeds, with _low and _high of its interval
    base/fid            the same of the base configuration, or its one value
    difference/fid      the winner less the base, seed by seed, with _low and _high
    trials/completed    how many trials ended how

The objective itself is a metric of trials alone: whoever sorts runs by it sees no sums among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.protocols import alike
from sweeper.standings import Standings
from sweeper.standings.against_base import against_base
from sweeper.standings.values import OverSeeds, final
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile.model import Sweep
from sweeper.tracking.names import PROTOCOL_PREFIX, WINNER_TAG
from sweeper.trial import Trial

_ENDS = ("completed", "pruned", "failed")


class BestSoFar:
    """The best value of each objective among the trials of a search, as they end.

    A trial that was measured otherwise than the one before begins anew: values of two protocols do
    not compare.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._objectives = sweep.objective
        self._best: dict[str, float] = {}
        self._protocol: Mapping[str, str] = {}
        self._over: set[int] = set()

    def ended(self, trial: Trial) -> tuple[int, Mapping[str, float]]:
        """(how many trials are over, the best values as metrics) with this one."""
        self._over.add(trial.number)
        if trial.role != "replicate" and trial.objective is not None:
            if not alike(trial.protocol, self._protocol):
                self._best.clear()
            self._protocol = trial.protocol
            for index, objective in enumerate(self._objectives):
                value, key = final(trial, index), f"best/{objective.metric}"
                if value is not None:
                    choose = max if objective.goal == "maximize" else min
                    self._best[key] = choose(value, self._best.get(key, value))
        return len(self._over), dict(self._best)


def best_of(standings: Standings) -> dict[str, float]:
    """The best value of each objective in the search."""
    found = {}
    for index, (metric, goal) in enumerate(zip(standings.metrics, standings.goals, strict=True)):
        values = [final(trial, index) for trial in standings.finished]
        told = [value for value in values if value is not None]
        if told:
            found[f"best/{metric}"] = (max if goal == "maximize" else min)(told)
    return found


def metrics_of(standings: Standings) -> dict[str, float]:
    """What came of the sweep, or has so far, in numbers that have no history."""
    first, best = standings.metrics[0], standings.best
    found: dict[str, float] = {f"trials/{state}": standings.counts.get(state, 0) for state in _ENDS}
    if best is not None and best.confirmed is not None:
        found |= _over_seeds(f"confirmed/{first}", best.confirmed)
    base = next((one for one in standings.order if one.trial is standings.base), None)
    if base is not None and base.value is not None:
        found[f"base/{first}"] = base.value
        if base.confirmed is not None:
            found |= _over_seeds(f"base/{first}", base.confirmed)
    compared = against_base(standings)
    for one in compared.differences if compared is not None else ():
        found[f"difference/{one.metric}"] = one.difference
        if one.low is not None and one.high is not None:
            found[f"difference/{one.metric}_low"] = one.low
            found[f"difference/{one.metric}_high"] = one.high
    return found


def tags_of(standings: Standings) -> dict[str, Any]:
    """The winner, the verdict on it, and the protocol that the sweep is measured by."""
    tags: dict[str, Any] = {
        PROTOCOL_PREFIX + key: value for key, value in standings.protocol.items()
    }
    if standings.best is not None:
        tags[WINNER_TAG] = standings.best.trial.name
        tags[f"{WINNER_TAG}.cell"] = standings.best.trial.cell
    words, found = verdict_in_words(standings), against_base(standings)
    if words:
        tags |= {"sweeper.verdict": words, "sweeper.confirmed": False}
    if found is not None:
        tags["sweeper.confirmed"] = found.confirmed
        tags |= {f"sweeper.against_base.{one.metric}": one.shown for one in found.differences}
    return tags


def _over_seeds(name: str, seeds: OverSeeds) -> dict[str, float]:
    """A mean with the ends of its interval at 95%, which takes two seeds."""
    found: dict[str, float] = {} if seeds.mean is None else {name: seeds.mean}
    if seeds.count > 1:
        from sweeper.ablation.intervals import mean_interval

        ends = mean_interval(seeds.values)
        found |= {f"{name}_low": float(ends.low), f"{name}_high": float(ends.high)}
    return found
