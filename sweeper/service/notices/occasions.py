"""What people are told of, worked out of what the tables say of a sweep at one moment. Pure.

    ended     it has finished, stopped, was cancelled, or is incomplete
    failed    it could not go on
    stalled   nothing was evaluated for long, by its own pace
    best      it has a better best than when that was last told
    budget    its GPU or CPU hours are nearly used up

A notice has a key beside its occasion: of each sweep the same is told once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from sweeper.wording import duration, over_of

if TYPE_CHECKING:
    from sweeper.service.state.sweeps import Entry

Occasion = Literal["ended", "failed", "stalled", "best", "budget"]

OCCASIONS: dict[Occasion, str] = {
    "ended": "it has finished, stopped or was cancelled",
    "failed": "it could not go on",
    "stalled": "nothing is evaluated for long, by its own pace",
    "best": "it has a better best",
    "budget": "its GPU or CPU hours are nearly used up",
}
"""What can be subscribed to, and when of a sweep it comes."""

BEST_EVERY = 15 * 60.0
"""Seconds between two words of a better best: early on a search has one every minute."""

STALL_LEAST = 10 * 60.0
"""Seconds without an evaluation that are never worth a word."""
STALL_FACTOR = 4.0
"""By how much longer than usual nothing must be evaluated; usual is what nine gaps of ten are not
above, so that one pause does not hide the next stall."""
_GAPS = 30
"""Gaps between evaluations by which the pace is known, the latest ones; at least `_FEW`."""
_FEW = 3

NEAR = 0.9
"""Share of its hours from which a budget is nearly used up."""


@dataclass(frozen=True)
class Notice:
    """One thing to tell. `key` makes it another one than what was told before."""

    occasion: Occasion
    key: str
    words: str


@dataclass(frozen=True)
class Told:
    """What was told of an occasion, by its keys, and when last."""

    keys: frozenset[str]
    time: float

    def and_then(self, key: str, time: float) -> Told:
        """The same, with one more."""
        return Told(self.keys | {key}, time)


def notices(
    entry: Entry, told: Mapping[str, Told], evaluated: Sequence[float], now: float
) -> list[Notice]:
    """What is to be told of a sweep now. `told` is what was told of each occasion so far, and
    `evaluated` when its trials were evaluated, in order."""
    found = [*_ending(entry), *_best(entry, told, now), *_budget(entry)]
    found += _stall(entry, evaluated, now)
    return [notice for notice in found if _is_new(notice, told)]


def _is_new(notice: Notice, told: Mapping[str, Told]) -> bool:
    before = told.get(notice.occasion)
    return before is None or notice.key not in before.keys


def best_key(entry: Entry) -> str:
    """What tells one best from the next; empty before any."""
    best = entry.driver.best if entry.driver else {}
    return f"{best.get('trial')} {best.get('value')}" if best else ""


def _ending(entry: Entry) -> Iterator[Notice]:
    if not entry.over:
        return
    state, message = entry.lease.state, entry.lease.message
    occasion: Occasion = "failed" if state == "failed" else "ended"
    words = f"{entry.sweep.name} {_ENDED.get(state, state)}"
    if entry.driver:
        budget = entry.driver.budget
        over = min(entry.driver.over, budget or entry.driver.over)  # it counts confirmations too
        words += f", {over_of(over, budget)} trials over"
        words += f"; best {best}" if (best := entry.driver.best.get("words")) else ""
    words += f". {message}" if message else "."
    yield Notice(occasion, f"{state} {entry.lease.since}", words)


_ENDED = {
    "finished": "has finished",
    "incomplete": "has ended incomplete",
    "stopped": "has stopped",
    "cancelled": "was cancelled",
    "failed": "has failed",
}


def _best(entry: Entry, told: Mapping[str, Told], now: float) -> Iterator[Notice]:
    before = told.get("best")
    if entry.over or not (key := best_key(entry)):
        return  # the end tells of the best, too
    if before is None or now - before.time >= BEST_EVERY:
        assert entry.driver is not None
        best = entry.driver.best
        words = best.get("words") or f"{best.get('metric')} {best.get('value')}"
        better = "a first best" if before is None else "a better best"
        yield Notice("best", key, f"{entry.sweep.name} has {better}: {words}.")


def _budget(entry: Entry) -> Iterator[Notice]:
    if entry.over or entry.driver is None:
        return
    limits = entry.sweep.spec.get("limits", {})
    for unit, seconds in (("gpu", entry.driver.gpu_seconds), ("cpu", entry.driver.cpu_seconds)):
        hours = limits.get(f"{unit}_hours")
        if hours and seconds >= NEAR * hours * 3600:
            share = 100 * seconds / (hours * 3600)
            yield Notice(
                "budget",
                f"{unit} {hours:g}",
                f"{entry.sweep.name} has used {share:.0f} % of its {hours:g} {unit.upper()} hours.",
            )


def _stall(entry: Entry, evaluated: Sequence[float], now: float) -> Iterator[Notice]:
    driver = entry.driver
    at_work = driver is not None and driver.at_work > 0 and entry.sweep.wanted == "run"
    gaps = sorted(after - before for before, after in pairwise(evaluated[-_GAPS - 1 :]))
    if not at_work or entry.lease.state != "running" or len(gaps) < _FEW:
        return
    assert driver is not None
    usual = gaps[int(0.9 * (len(gaps) - 1))]
    quiet = now - max(evaluated[-1], entry.lease.since, driver.begun)
    if quiet > max(STALL_LEAST, STALL_FACTOR * usual):
        yield Notice(
            "stalled",
            f"{evaluated[-1]}",
            f"{entry.sweep.name} stalls: nothing was evaluated for {duration(quiet)}, with "
            f"{driver.at_work} at work; before, that took at most {duration(usual)} nine times "
            "of ten.",
        )
