"""Whoever follows a study that goes on sees what whoever reads it anew does, at every moment."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.home import Home, SweepFolder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.address import JOURNAL
from sweeper.search.ledger import Ledger
from sweeper.search.reader import StudyReader, read_study
from sweeper.search.storage import open_storage
from sweeper.service.readings import Readings
from sweeper.standings import Standings, standings_of
from sweeper.standings.against_base import against_base
from sweeper.standings.following import following
from sweeper.standings.forecast import forecast_of
from sweeper.standings.progress import progress_of
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective, Seeds
from sweeper.trial import Evaluation, FinalScore, Trial

SWEEP = Sweep(
    name="followed",
    base={"data": "digits", "steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    limits=Limits(trials=1000),
    seeds=Seeds(confirm_top=2, replicates=3, screen=2),
)
OF_SEEDS = replace(SWEEP, parameters=(*SWEEP.parameters, Parameter("seed", Values((0, 1)))))
OF_TWO = replace(SWEEP, objective=(Objective(metric="fid"), Objective(metric="kid")))
TOLD = (
    *("trials", "planned", "protocol", "counts", "finished", "scores", "by_search", "replicates"),
    *("race", "ranks", "ranked", "order", "on_seeds", "winners", "stops", "steps_saved"),
    *("steps_planned", "measured_otherwise", "base"),
)


def everything(standings: Standings) -> dict[str, Any]:
    """All that they tell."""
    told = {name: getattr(standings, name) for name in TOLD}
    reached = {one.number: standings.best_on_the_way(one) for one in standings.trials}
    further = (forecast_of(standings), against_base(standings), progress_of(standings), reached)
    return {**told, "further": further}


class History:
    """A study that everything happens to, by the ledger and by Optuna's own tools."""

    def __init__(self, folder: SweepFolder, storage: str, dice: random.Random) -> None:
        self.folder, self.storage, self.dice = folder, storage, dice
        self.data = 0
        self.ledger = Ledger.open(SWEEP, folder, storage)

    def of(self, *states: str) -> int | None:
        """A trial in one of these states, by chance; None where there is none."""
        found = [trial.number for trial in self.ledger.trials() if trial.state in states]
        return self.dice.choice(found) if found else None

    def ask(self) -> None:
        if (trial := self.ledger.ask()) is not None and self.dice.random() < 0.8:
            self.ledger.started(trial.number)

    def repeat(self) -> None:
        if (number := self.of("completed")) is not None:
            again = self.ledger.ask_replicate(number, self.dice.randrange(5))
            self.ledger.started(again.number)

    def evaluate(self) -> None:
        if (number := self.of("running")) is not None:
            step = self.ledger.trial(number).steps + 1
            metrics = {"fid": self.dice.uniform(1, 9)}
            protocol = {"extractor": "made up", "data_hash": str(self.data)}
            self.ledger.report(number, Evaluation(step, 10.0 * step, metrics, protocol))

    def end(self) -> None:
        if (number := self.of("running")) is not None:
            ending = self.dice.choice(("completed", "completed", "pruned", "failed", "lost"))
            if ending == "completed":
                self.ledger.complete(number, [self.dice.uniform(1, 9)])
            elif ending == "pruned":
                self.ledger.prune(number, "scheduler", "not among the best")
            else:
                self.ledger.fail(number, "worker_died" if ending == "lost" else "error", "gone")

    def retry(self) -> None:
        if (number := self.of("failed")) is not None:
            self.ledger.wishes.retry(number, f"order {self.dice.random()}", anew=self.data == 1)

    def score(self) -> None:
        if (number := self.of("completed")) is not None:
            self.ledger.scored(number, FinalScore(4, {"fid": 1.0}, {}))

    def other_data(self) -> None:
        self.data += 1
        self.ledger = Ledger.open(SWEEP, self.folder, self.storage, accept_protocol=True)

    def others(self) -> None:
        """Other people add to the study, or end what is not theirs."""
        study = optuna.load_study(
            storage=open_storage(self.folder, self.storage)[0], study_name=SWEEP.name
        )
        if self.dice.random() < 0.5:
            study.enqueue_trial({"x": 0.5})
        elif (number := self.of("running")) is not None:
            entry = self.ledger._entries.get(number)
            study.tell(entry.number, 0.0)

    def go_on(self) -> None:
        often = [self.ask] * 4 + [self.evaluate] * 12 + [self.end] * 4 + [self.repeat] * 2
        self.dice.choice([*often, self.retry, self.score, self.other_data, self.others])()


@pytest.mark.parametrize(("database", "seed"), [(False, 0), (False, 1), (True, 2)])
def test_who_follows_a_study_sees_what_it_says(tmp_path: Path, database: bool, seed: int) -> None:
    storage = f"sqlite:///{tmp_path}/studies.db" if database else JOURNAL
    folder = Home(tmp_path).sweep(SWEEP.name)
    folder.create()
    history = History(folder, storage, random.Random(seed))
    follower = read_study(SWEEP, folder, storage)
    assert follower is not None
    for turn in range(50):
        history.go_on()
        seen, foreign = follower.standings(), follower.foreign()
        told = everything(seen)  # and is known when the next one is made
        if not database or turn % 10 == 9:
            anew = read_study(SWEEP, folder, storage)
            assert anew is not None
            assert (told, foreign) == (everything(anew.standings()), anew.foreign())
            assert history.ledger.trials() == anew.trials()


STATES = st.sampled_from(("waiting", "running", "completed", "pruned", "failed"))


@st.composite
def trials(draw: Callable[..., Any]) -> list[Trial]:
    """A study, and what became of it."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        of = draw(st.none() | st.integers(0, number)) if number else None
        role = "replicate" if of is not None else draw(st.sampled_from(("base", "search")))
        made.append(_trial(draw, number, role, of))
    return made


def _trial(draw: Callable[..., Any], number: int, role: Any, of: int | None) -> Trial:
    state = draw(STATES)
    value = draw(st.sampled_from((1.0, 2.0, 3.0)))
    protocol = {"data_hash": draw(st.sampled_from("aab"))}
    seed, x = draw(st.integers(0, 1)), draw(st.sampled_from((0.1, 0.2)))
    return Trial(
        number,
        state,
        role,
        of,
        values={"x": x, "seed": seed},
        config={"steps": 4, "x": x, "seed": seed},
        objective=(value, value) if state == "completed" else None,
        evaluations=(Evaluation(1, 5.0 * value, {"fid": value, "kid": value}, protocol),),
        cause=None if state == "completed" else draw(st.sampled_from(("error", "worker_died"))),
        started=0.0,
        attempts=1,
    )


@settings(max_examples=100, deadline=None)
@given(
    before=trials(),
    changed=trials(),
    sweep=st.sampled_from((SWEEP, OF_SEEDS, OF_TWO)),
    kept=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_what_was_worked_out_before_is_kept_only_where_it_holds(
    before: list[Trial], changed: list[Trial], sweep: Sweep, kept: list[bool]
) -> None:
    now = [
        before[place] if place < len(before) and kept[place] else trial
        for place, trial in enumerate(changed)
    ]
    protocol = {"data_hash": "a"}
    earlier, later = (standings_of(sweep, some, None, protocol) for some in (before, now))
    everything(earlier)
    anew = standings_of(sweep, now, None, protocol)
    assert everything(following(earlier, later)) == everything(anew)


def _ledger(folder: SweepFolder) -> Ledger:
    folder.create()
    ledger = Ledger.open(SWEEP, folder, JOURNAL)
    keep_spec(SWEEP, folder, None)
    trial = ledger.ask()
    assert trial is not None
    ledger.started(trial.number)
    return ledger


def test_a_reading_is_the_same_until_the_study_says_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.service.readings.QUICK", 600.0)  # however slow the machine
    home = Home(tmp_path)
    folder, readings = home.sweep(SWEEP.name), Readings(home)
    ledger = _ledger(folder)
    first = readings.of(SWEEP.name)
    ledger._study.set_user_attr("company", {"nobody": "1"})  # which no reading tells of
    assert readings.of(SWEEP.name) is first
    assert readings.known(SWEEP.name) is first
    ledger.report(0, Evaluation(1, 1.0, {"fid": 2.0}, {}))
    later = readings.of(SWEEP.name)
    assert later.version != first.version
    assert later.by_number[0].steps == 1


def test_a_study_that_was_begun_again_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.service.readings.QUICK", 0.0)  # one that goes on would be spared
    monkeypatch.setattr("sweeper.service.readings.SPARED", 1e9)
    monkeypatch.setattr("sweeper.service.readings.LONGEST", 600.0)
    home = Home(tmp_path)
    folder, readings = home.sweep(SWEEP.name), Readings(home)
    ledger = _ledger(folder)
    ledger.report(0, Evaluation(1, 1.0, {"fid": 2.0}, {}))
    assert readings.of(SWEEP.name).by_number[0].steps == 1
    folder.path.rename(tmp_path / "old")
    _ledger(folder)
    assert readings.of(SWEEP.name).by_number[0].steps == 0


def test_a_study_that_nobody_asks_for_any_more_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects are out of the reach of Python's collector: they must not hold one another."""
    monkeypatch.setattr("sweeper.service.readings.MANY", 0)
    home = Home(tmp_path)
    readings = Readings(home)
    _ledger(home.sweep(SWEEP.name))
    readings.of(SWEEP.name)
    reader = readings.reader(SWEEP.name)
    assert isinstance(reader, StudyReader)
    gone = weakref.ref(reader)
    gc.disable()
    try:
        readings.forget(SWEEP.name)
        del reader
        assert gone() is None
    finally:
        gc.enable()
        gc.unfreeze()
