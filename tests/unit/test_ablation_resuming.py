"""An ablation that is killed anywhere and run again gives the same table to the last figure."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.ablation.designs.full_factorial import FullFactorial
from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.ablation.designs.one_factor import OneFactor
from sweeper.ablation.tables import Table
from sweeper.home import Home
from sweeper.results import finished_tables, write_dataset_of
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import REHEARSAL, Failure, Report, Work
from sweeper.search.ledger import Ledger
from sweeper.standings import standings_of
from sweeper.sweepfile.domains import Parameter, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.trial import Evaluation

STUDY = Sweep(
    name="killed",
    base={"data": {"name": "digits"}, "steps": 2, "evaluation": {"every": 2}},
    parameters=(
        Parameter("tricks.ema", Toggle()),
        Parameter("tricks.label_smoothing", Toggle()),
        Parameter("tricks.instance_noise", Toggle()),
    ),
    objective=(Objective(metric="fid"),),
    ablation=LeaveOneOut.Config(seeds=3),
    limits=Limits(parallel=2),
)
RUNS = 4 * 3


class Killed(Exception):  # noqa: N818 - what happened
    """The driver is gone."""


def play(
    home: Path,
    kill_after: int | None = None,
    spec: Sweep = STUDY,
    answer: Callable[[Work], Report] | None = None,
) -> Ledger:
    """Run `spec` without Ray: two workers, of which the later one answers first."""
    folder = Home.at(home).sweep(spec.name)
    folder.create()
    ledger = Ledger.open(spec, folder)
    ledger.retry()
    conductor = Conductor(spec, folder, ledger, Recorder(spec, folder, None), lambda event: None)
    turns = 0
    while not conductor.finished:
        works = [work for work in (conductor.next_work(), conductor.next_work()) if work]
        for work in reversed(works):
            if work.number == REHEARSAL:
                conductor.heard(REHEARSAL, Report(finished=True))
                continue
            conductor.started(work.number)
            turns += 1
            if turns == kill_after:
                raise Killed
            conductor.heard(work.number, (answer or outcome)(work))
            assert turns < 10 * RUNS
    return ledger


def outcome(work: Work) -> Report:
    """What a training would say: decided by its configuration; one of them falls apart."""
    tricks: dict[str, Any] = dict(work.config["tricks"])
    on = sorted(name for name, config in tricks.items() if config not in (False, None))
    seed = work.config["seed"]
    if "label_smoothing" not in on and seed == 1:
        return Report(finished=True, failure=Failure("divergence", "it fell apart"))
    noise = zlib.crc32(f"{on} {seed}".encode()) / 2**32
    evaluation = Evaluation(2, 0.0, {"fid": 5 - len(on) + noise})
    return Report(evaluations=(evaluation,), finished=True)


def tables(home: Path, ledger: Ledger, spec: Sweep = STUDY) -> list[Table]:
    folder = Home.at(home).sweep(spec.name)
    return finished_tables(spec, write_dataset_of(folder, standings_of(spec, ledger.trials())))


def numbers(made: list[Table]) -> list[tuple[Any, ...]]:
    """Everything that a table says."""
    return [
        (one.name, one.raw().to_pydict(), one.best, one.equals, one.caption, one.notes)
        for one in made
    ]


@pytest.mark.parametrize("moment", range(1, RUNS + 1))
def test_killing_the_study_anywhere_changes_no_number_in_its_tables(tmp_path, moment):
    straight = tables(tmp_path / "a", play(tmp_path / "a"))
    assert [one.name for one in straight] == ["killed", "killed-robust"]
    assert straight[0].notes  # the failure is told
    with pytest.raises(Killed):
        play(tmp_path / "b", kill_after=moment)
    resumed = play(tmp_path / "b")
    assert len(resumed.trials()) == RUNS
    assert repr(numbers(tables(tmp_path / "b", resumed))) == repr(numbers(straight))


def test_a_cell_whose_worker_always_dies_is_left_to_the_next_run(tmp_path):
    alone = replace(STUDY, limits=Limits(parallel=1))

    def die(work: Work) -> Report:
        if outcome(work).failure is None:
            return outcome(work)
        return Report(finished=True, failure=Failure("worker_died", "the kernel killed it"))

    for _ in (1, 2):
        records = play(tmp_path, spec=alone, answer=die).trials()
        lost = [one for one in records if one.cause == "worker_died"]
        assert {(one.cell, one.config["seed"]) for one in lost} == {("without label_smoothing", 1)}
        assert (len(lost), len(records)) == (1, RUNS)
    straight = tables(tmp_path / "b", play(tmp_path / "b"))
    resumed = play(tmp_path, spec=alone)
    assert [one.number for one in resumed.trials()] == list(range(RUNS))
    assert repr(numbers(tables(tmp_path, resumed))[0]) == repr(numbers(straight)[0])


@pytest.mark.parametrize("kept_in", ["journal", "database"])
def test_a_factor_may_get_another_level_later(kept_in, tmp_path, monkeypatch):
    if kept_in == "database":
        monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    levels = ("non_saturating", "hinge", "wgan")
    first, more = (
        replace(
            STUDY,
            parameters=(Parameter("loss", Values(levels[:count])),),
            ablation=OneFactor.Config(seeds=2),
        )
        for count in (2, 3)
    )
    play(tmp_path, spec=first, answer=fine)
    records = play(tmp_path, spec=more, answer=fine).trials()
    assert [one.values["loss"] for one in records] == [*levels[:2], *levels[:2], "wgan", "wgan"]


def fine(work: Work) -> Report:
    evaluation = Evaluation(2, 0.0, {"fid": 1.0})
    return Report(evaluations=(evaluation,), finished=True)


def test_a_factorial_gives_its_effects_and_where_runs_failed_those_on_ranks(tmp_path):
    factorial = replace(STUDY, ablation=FullFactorial.Config(seeds=3))
    made = tables(tmp_path, play(tmp_path, spec=factorial), factorial)
    names = ["killed", "killed-robust", "killed-effects", "killed-effects-ranked"]
    assert [one.name for one in made] == names
    survivors, ranked = (table.raw().to_pylist()[:3] for table in made[2:])
    main = [row["effect"] for row in survivors]
    assert main == ["ema", "label_smoothing", "instance_noise"]
    # Every cell without label smoothing fails once, which the survivors' values cannot show.
    assert ranked[1]["estimate"] == min(row["estimate"] for row in ranked)
    assert survivors[1]["estimate"] == pytest.approx(-1, abs=0.5)
    assert "left out: 4" in " ".join(made[2].notes)


def test_seeds_added_later_give_the_table_of_a_study_that_had_them_from_the_start(tmp_path):
    more = replace(STUDY, ablation=LeaveOneOut.Config(seeds=5))
    play(tmp_path / "a")
    extended = play(tmp_path / "a", spec=more)
    straight = play(tmp_path / "b", spec=more)
    assert len(extended.trials()) == 4 * 5
    assert repr(numbers(tables(tmp_path / "a", extended, more))) == repr(
        numbers(tables(tmp_path / "b", straight, more))
    )
