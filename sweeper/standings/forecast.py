"""What a sweep still takes: hours by the clock, of GPUs and of CPUs, learnt from its own trials.

    cost of a trial    c = r · s    r seconds a step, s steps that it trained
    n to come          n · c̄ ± 1.645 · √(n σ² + n² σ² / k), from k trials of the same role

r is `Trial.pace`, the median over a trial's evaluations; s is what it came to train, so that early
stopping is in it. What runs now has its share behind it. Of replicates, which run to their last
step, nothing is known before the first one: they take r̄ · the planned steps, and may be fewer,
since the race gives up who can no longer win.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from sweeper.standings.confirming import most_replicates
from sweeper.standings.progress import budget_of
from sweeper.standings.standings import Standings
from sweeper.sweepfile.resources import Given
from sweeper.trial import Trial
from sweeper.wording import duration

SIDES = 1.645
"""Standard deviations on either side of which one in twenty lies beyond."""


@dataclass(frozen=True)
class Amount:
    """About `expected`; nine times in ten between `low` and `high`."""

    expected: float
    low: float
    high: float

    def times(self, factor: float) -> Amount:
        """The same in another unit."""
        return Amount(self.expected * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Forecast:
    """What is still to come: `trials` of the search and at most so many `replicates`. The amounts
    are None where nothing can be known, and `reason` says why."""

    trials: int | None = None
    replicates: int = 0
    seconds: Amount | None = None
    gpu_hours: Amount | None = None
    cpu_hours: Amount | None = None
    reason: str = ""
    each: Given | None = None
    """What one trial is given, on average where it is a share that follows from what it takes."""

    def in_words(self) -> str:
        """`about 3 h 20 min (2 h 50 min to 4 h), 6.7 GPU hours, 13 CPU hours`; the reason
        where nothing is known."""
        if self.seconds is None:
            return self.reason
        if not self.seconds.high:
            return "nothing"
        told = duration(self.seconds.expected)
        words = f"about {told} ({duration(self.seconds.low)} to {duration(self.seconds.high)})"
        for name, hours in (("GPU", self.gpu_hours), ("CPU", self.cpu_hours)):
            if hours is not None and hours.expected:
                words += f", {hours.expected:.2g} {name} hours"
        return words

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return asdict(self)


def forecast_of(standings: Standings) -> Forecast:
    """What the sweep still takes from here on, with as many trials at once as its file says."""
    sweep, budget = standings.sweep, budget_of(standings)
    if budget is None:
        return Forecast(reason="not known: nothing limits its trials")
    paces = ((trial.number, trial.pace) for trial in standings.trials)
    rates = {number: pace for number, pace in paces if pace is not None}
    if not rates:
        return Forecast(reason="not known before a trial was evaluated")
    search = standings.trials if sweep.is_ablation else standings.search
    replicates = [] if sweep.is_ablation else [t for t in standings.trials if t.role == "replicate"]
    whole = fmean(rates.values()) * fmean([standings.steps_of(one) for one in standings.trials])
    left = max(0, budget - sum(trial.over for trial in search))
    more = max(0, most_replicates(standings, budget) - sum(trial.over for trial in replicates))
    parts = [_to_come(search, left, rates, whole), _to_come(replicates, more, rates, whole)]
    amount = Amount(*(sum(values) for values in zip(*map(_values, parts), strict=True)))
    at_once = max(1, min(_parallel(standings), left + more))
    each = _each(standings)
    return Forecast(
        left,
        more,
        amount.times(1 / at_once),
        amount.times(each.gpu / 3600),
        amount.times(each.cpu / 3600),
        each=each,
    )


def _parallel(standings: Standings) -> int:
    """How many trials run at the same time: as many as the file says, or where they share machines
    as they fit, as many as now."""
    parallel = standings.sweep.limits.parallel
    now = sum(trial.state == "running" for trial in standings.trials)
    return min(now, parallel) if now and standings.sweep.resources.shares else parallel


def _each(standings: Standings) -> Given:
    """What one trial is given: as the file says, or as those were on average that have a share."""
    shares = [trial.given for trial in standings.trials if trial.given is not None]
    if not shares or not standings.sweep.resources.shares:
        return standings.sweep.resources.whole
    cpu, gpu = (fmean(share[name] for share in shares) for name in ("cpu", "gpu"))
    return Given(cpu, gpu)


def _to_come(
    trials: Sequence[Trial], count: int, rates: Mapping[int, float], whole: float
) -> Amount:
    """Seconds of training of `count` further trials like these; each takes `whole` where none of
    them has ended."""
    costs = [rates[t.number] * t.steps for t in trials if t.over and t.number in rates]
    mean = fmean(costs) if costs else whole
    spread = mean / 2  # of one trial nothing is known but that
    if len(costs) > 1:  # `statistics.stdev` reckons in fractions: of thousands of trials for long
        spread = math.sqrt(math.fsum((cost - mean) ** 2 for cost in costs) / (len(costs) - 1))
    behind = sum(
        min(mean, rates[trial.number] * trial.steps)
        for trial in trials
        if not trial.over and trial.number in rates
    )
    side = SIDES * math.sqrt(count * spread**2 + count**2 * spread**2 / max(1, len(costs)))
    expected = max(0.0, count * mean - behind)
    return Amount(expected, max(0.0, expected - side), expected + side if count else 0.0)


def _values(amount: Amount) -> tuple[float, float, float]:
    return amount.expected, amount.low, amount.high
