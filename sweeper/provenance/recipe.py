"""A trial to be trained again: what it was made of, how far it came, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweeper.bucket.copies import trial_folder
from sweeper.errors import UserError
from sweeper.home import SweepFolder
from sweeper.provenance.attempts import NOT_INSTALLED, Attempt, read_attempts
from sweeper.provenance.run_record import Kept, read_run
from sweeper.search.lineage import Segment
from sweeper.search.looking import sweep_of
from sweeper.search.reader import read_study
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Trial, trial_name
from trials.metrics.protocol import differing as protocols_differing
from trials.surroundings import differing

_OF_THE_CLOCK = "system/"
"""What metrics begin with that measure the machine, not the generator."""


@dataclass(frozen=True)
class Recipe:
    """One trial of a sweep. `segments` are more than one where it took another one's weights over;
    `attempts` are empty, and `run` is None, of a trial of a version that wrote nothing down."""

    sweep: Sweep
    trial: Trial
    segments: tuple[Segment, ...]
    attempts: tuple[Attempt, ...]
    run: Kept | None

    @property
    def name(self) -> str:
        """`quickstart-00003`."""
        return f"{self.sweep.name}-{self.trial.name}"

    @property
    def threads(self) -> int:
        """By how many threads it was trained; as its sweep asks where nobody has written it
        down."""
        told = self.attempts[-1].surroundings.get("threads", "") if self.attempts else ""
        return int(told) if told.isdigit() else self.sweep.resources.threads

    @property
    def until(self) -> int:
        """The step of its last evaluation; 0 without any, where it is trained to its end."""
        return self.segments[-1].until

    @property
    def measured(self) -> tuple[Evaluation, ...]:
        """Its evaluations that training it again makes again."""
        after = self.segments[-1].after
        return tuple(one for one in self.trial.evaluations if one.step > after)

    @property
    def absent_parts(self) -> tuple[str, ...]:
        """Parts that no installed distribution has: a script or a notebook defined them."""
        used = self.attempts[-1].parts if self.attempts else {}
        return tuple(name for name, version in used.items() if version.endswith(NOT_INSTALLED))


def recipe_of(folder: SweepFolder, number: int) -> Recipe:
    """How to train trial `number` of a sweep again.

    Raises:
        UserError: there is no such trial.
        LedgerError: the study cannot be read.
        BucketError: what the trial has published cannot be had.
    """
    sweep = sweep_of(folder)
    study = read_study(sweep, folder)
    trials = {trial.number: trial for trial in study.trials()} if study else {}
    if study is None or number not in trials:
        there = f"the last one is {max(trials)}" if trials else "it has none yet"
        raise UserError(f"{folder.name} has no trial {number}: {there}")
    segments = study.lineage(number)
    places = [trial_folder(folder, one) for one in dict.fromkeys(part.number for part in segments)]
    # One that took weights over just before it was stopped has written down what it would have
    # gone on by.
    if len(segments) == 1 and not trials[number].donors:
        whole = replace(segments[0], config=_as_recorded(places[0], segments[0].config))
        segments = (whole,)
    attempts = tuple(attempt for place in places for attempt in read_attempts(place))
    run = read_run(folder, attempts[-1].run) if attempts and attempts[-1].run else None
    return Recipe(sweep, trials[number], segments, attempts, run)


def _as_recorded(place: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with every default as the trial had it: those of another version may
    be others. `config` itself where that was not written down."""
    try:
        written = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return config
    return written if isinstance(written, dict) else config


@dataclass(frozen=True)
class Deviation:
    """A number that is not the same again; None where it was not measured."""

    step: int
    metric: str
    then: float | None
    now: float | None

    def __str__(self) -> str:
        """`fid at step 300 is 31.25, and was 31.20`, with as many digits as it takes."""
        now, then = ("not measured" if one is None else repr(one) for one in (self.now, self.then))
        return f"{self.metric} at step {self.step} is {now}, and was {then}"


def numbers(evaluations: Sequence[Evaluation]) -> dict[tuple[int, str], float]:
    """What these evaluations say of the training: all but what they measured of the machine."""
    return {
        (one.step, metric): value
        for one in evaluations
        for metric, value in one.metrics.items()
        if not metric.startswith(_OF_THE_CLOCK)
    }


def deviations(then: Sequence[Evaluation], now: Sequence[Evaluation]) -> list[Deviation]:
    """Where two trainings are not the same, bit for bit, at the steps of the first one."""
    before = numbers(then)
    steps = {one.step for one in then}
    after = numbers([one for one in now if one.step in steps])
    return [
        Deviation(*place, before.get(place), after.get(place))
        for place in sorted(before.keys() | after.keys())
        if before.get(place) != after.get(place)
    ]


def unlike(then: Sequence[Attempt], now: Attempt) -> list[str]:
    """What may be why two trainings are not the same, each in a clause."""
    return list(dict.fromkeys(told for attempt in then for told in _unlike(attempt, now)))


def _unlike(then: Attempt, now: Attempt) -> Iterator[str]:
    changes = differing(then.surroundings, now.surroundings)
    changes |= protocols_differing(then.protocol, now.protocol) if then.protocol else {}
    parts = then.parts.keys() | now.parts.keys()
    changes |= {
        name: (then.parts.get(name, ""), now.parts.get(name, ""))
        for name in sorted(parts)
        if then.parts.get(name, "") != now.parts.get(name, "")
    }
    if then.seed != now.seed:
        changes["seed"] = (str(then.seed), str(now.seed))
    for name, (before, here) in changes.items():
        yield f"{name.replace('_', ' ')} is {here or 'none'}, and was {before or 'none'}"


def trial_and_number(text: str) -> tuple[str, int]:
    """`quickstart/3` → its sweep's name and its number.

    Raises:
        UserError: it is no such thing.
    """
    name, slash, number = text.rpartition("/")
    if not (slash and name and number.isdecimal() and len(number) < 10):
        raise UserError(
            f"{text!r} names no trial: expected NAME/N, such as quickstart/{trial_name(3)}"
        )
    return name, int(number)
