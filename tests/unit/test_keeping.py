"""Checkpoints that trials keep for others stay as long as somebody can ask for them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import optuna
import pytest

from sweeper.scheduling.working.messages import kept_checkpoint
from sweeper.search import attributes
from sweeper.search.samplers.random import Random
from sweeper.search.staying import Staying
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.sweepfile.sections import Keep, Seeds
from tests.driven import STEPS, Driven

NONE = Keep(checkpoints="unfinished")
RULE = PopulationBased.Config(interval_steps=1, grace_steps=1, quantile=0.34)


class Population(Driven):
    """One whose workers keep an empty checkpoint of each evaluation, a milestone."""

    def __init__(self, place: Path, parallel: int, trials: int, **changes: object) -> None:
        search = Random.Config(start_with_base=False)
        super().__init__(place, parallel, trials, scheduler=RULE, search=search, **changes)
        self.worth: dict[int, float] = {}
        """What is measured of trials, in place of what follows from their settings."""

    def value(self, number: int, step: int) -> float:
        return self.worth.get(number, super().value(number, step))

    def report(self, number: int) -> None:
        work = self.at_work[number]
        if work.take_over is not None:
            assert (Path(work.take_over) / "checkpoint.pt").exists()
        if work.keep is not None:
            place = kept_checkpoint(self.place.trial(number), self.steps(number) + 1)
            place.mkdir(parents=True, exist_ok=True)
            (place / "checkpoint.pt").touch()
        super().report(number)

    def kept(self) -> set[tuple[int, int]]:
        found = self.place.trials.glob("*/kept/*/checkpoint.pt")
        return {(int(one.parts[-4]), int(one.parts[-2])) for one in found}

    def taken(self) -> set[tuple[int, int] | None]:
        over = {trial.number for trial in self.ledger.trials() if trial.over}
        return {self.ledger.scheduler.donor(number) for number in {0, 1, 2} - over}


def test_those_of_a_milestone_go_when_all_have_come_past_it(tmp_path: Path) -> None:
    population = Population(tmp_path, 3, 3, keep=NONE)
    population.begin()
    for step in range(1, STEPS + 1):
        for number in (0, 1):
            population.report(number)
            population.hand_out()
        assert {(0, step), (1, step)} <= population.kept()
        population.report(2)
        population.hand_out()
        assert {one for one in population.kept() if one[1] <= step} <= population.taken()
    assert population.conductor.complete
    assert population.kept() == set()


def test_all_stay_while_the_search_asks_for_more(tmp_path: Path) -> None:
    population = Population(tmp_path, 1, 3, keep=NONE, seeds=Seeds(confirm_top=1, replicates=2))
    population.begin()
    while sum(trial.over for trial in population.ledger.trials()) < 2:
        population.report(min(population.at_work))
        population.hand_out()
    assert population.kept() == {(number, step) for number in (0, 1) for step in (1, 2, 3)}
    population.to_the_end()
    assert population.kept() == set()


def test_those_of_a_search_that_has_no_more_to_ask_go_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    population = Population(tmp_path, 1, 9, keep=NONE)
    ask = population.ledger.ask
    monkeypatch.setattr(
        population.ledger, "ask", lambda: ask() if len(population.begun) < 2 else None
    )
    population.begin()
    while population.at_work:
        population.report(min(population.at_work))
        population.hand_out()
    assert population.conductor.complete
    population.conductor.keeping.settle()
    assert population.kept() == set()


@pytest.mark.parametrize("over", [False, True])
def test_the_next_driver_removes_what_a_killed_one_has_left(over: bool, tmp_path: Path) -> None:
    population = Population(tmp_path, 3, 3, keep=NONE)
    population.begin()
    for number in (0, 1, 2):
        population.report(number)
    if over:
        population.to_the_end()
    for number in (0, 1, 2):
        place = kept_checkpoint(population.place.trial(number), 1)
        place.mkdir(parents=True, exist_ok=True)
        (place / "checkpoint.pt").touch()
    again = Population(tmp_path, 3, 3, keep=NONE)
    assert again.kept() <= again.taken()


def test_what_no_later_trial_could_copy_goes_with_the_rest(tmp_path: Path) -> None:
    population = Population(tmp_path, 3, 3, keep=Keep())
    population.worth[0] = math.nan
    population.begin()
    for number in (0, 1, 2):
        population.report(number)
    assert (0, 1) in population.kept()
    population.fail(0, "divergence", "fid is not finite")
    population.to_the_end()
    assert population.kept() == {(number, step) for number in (1, 2) for step in (1, 2, 3)}


def test_a_checkpoint_that_comes_after_the_others_went_counts_among_them(tmp_path: Path) -> None:
    population = Population(tmp_path, 3, 3, keep=Keep(checkpoints="best 1"))
    population.worth |= {0: 1.0, 1: 2.0, 2: 3.0}
    population.begin()
    for _ in (1, 2):
        for number in (0, 1, 2):
            population.report(number)
            population.hand_out()
    assert {one for one in population.kept() if one[1] == 1} == {(0, 1)}
    for number in (1, 2):
        population.ledger.begin_anew(number)
    again = Population(tmp_path, 3, 3, keep=Keep(checkpoints="best 1"))
    again.worth |= {0: 1.0, 1: 4.0, 2: 0.0}
    again.begin()
    for number in (2, 1):
        again.report(number)
    assert again.ledger.scheduler.donor(1) == (2, 1)
    again.hand_out()
    again.to_the_end()
    assert again.kept() == {(2, 1), (2, 2), (2, 3)}


def test_an_evaluation_between_two_milestones_brings_no_checkpoint_back() -> None:
    staying = Staying(optuna.create_study(storage=optuna.storages.InMemoryStorage()))
    staying.settle(2, {0})
    staying.learn(1, {"step:2": {}, "step:3": {attributes.SETTLED: 1}}, 2)
    assert staying.there(2) == {0}, "removed before its evaluation of step 3"
    staying.learn(2, {"step:2": {attributes.SETTLED: 1}, "step:3": {attributes.SETTLED: 2}}, 2)
    assert staying.there(2) == {0, 2}


def test_the_study_says_of_each_milestone_no_more_than_what_stays(tmp_path: Path) -> None:
    def said() -> dict[str, object]:
        population = Population(tmp_path, 6, 6, keep=Keep(checkpoints="best 2"))
        population.worth |= {number: float(number) for number in range(6)}
        population.begin()
        population.to_the_end()
        attrs = population.ledger._study.user_attrs
        return {key: attrs[key] for key in attrs if key.startswith(attributes.STAYS)}

    stays = {"numbers": [0, 1], "times": 1}
    assert said() == {f"stays:{step}": stays for step in (1, 2, 3)}
    assert said() == {f"stays:{step}": stays for step in (1, 2, 3)}  # settled, and not again


@pytest.mark.parametrize("kept", ["best 1", "all", "unfinished"])
def test_a_sweep_that_is_extended_copies_the_best_that_are_still_there(
    kept: str, tmp_path: Path
) -> None:
    keep = Keep(checkpoints=kept)
    ended = Population(tmp_path, 3, 3, keep=keep)
    ended.begin()
    ended.to_the_end()
    staying = {"best 1": 1, "all": 3, "unfinished": 0}[kept]
    assert Counter(step for _, step in ended.kept()) == Counter(dict.fromkeys((1, 2, 3), staying))

    # `report` sees to it that what each of these takes over is there.
    extended = Population(tmp_path, 1, 6, keep=keep)
    extended.begin()
    extended.to_the_end()
    heirs = [trial for trial in extended.ledger.trials()[3:] if trial.donors]
    assert bool(heirs) == bool(staying)


def test_a_sweep_that_has_ended_keeps_less_when_it_is_run_again_with_a_smaller_keep(
    tmp_path: Path,
) -> None:
    ended = Population(tmp_path, 3, 3, keep=Keep(checkpoints="all"))
    ended.begin()
    ended.to_the_end()
    assert len(ended.kept()) == 9
    again = Population(tmp_path, 3, 3, keep=NONE)
    assert (again.kept(), again.conductor.complete) == (set(), True)


def test_a_sweep_that_keeps_all_is_extended_as_if_it_had_never_ended(tmp_path: Path) -> None:
    def told(population: Population) -> list[object]:
        return [(one.values, one.donors, one.objective) for one in population.ledger.trials()]

    keep = Keep(checkpoints="all")
    whole = Population(tmp_path / "whole", 1, 6, keep=keep)
    whole.begin()
    whole.to_the_end()
    for trials in (3, 6):
        population = Population(tmp_path / "extended", 1, trials, keep=keep)
        population.begin()
        population.to_the_end()
    assert told(population) == told(whole)
