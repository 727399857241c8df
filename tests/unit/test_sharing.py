"""Trials are given what trials of their shape took, and never more than a machine has."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper.home import Home
from sweeper.preview import timed_forecast
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.working.messages import PROBE, REHEARSAL, Failure, Report, Work
from sweeper.scheduling.working.trainable import build_training
from sweeper.search.samplers.grid import Grid
from sweeper.sharing import gauges
from sweeper.sharing.gauges import UNSEEN, ProcessGauge
from sweeper.sharing.learnt import KEPT, Learnt
from sweeper.sharing.shape import shape_of
from sweeper.sharing.shares import (
    MOST,
    ONE,
    STEP,
    Taken,
    most_of,
    ran_out,
    rounded,
    share,
    together,
)
from sweeper.sweepfile.domains import Parameter, Values
from sweeper.sweepfile.load import parse_sweep
from sweeper.sweepfile.resources import PART, Given, Resources
from sweeper.testing.small import SMALL
from sweeper.trial import Evaluation
from tests.driven import STEPS, SWEEP, Driven
from trials.config import load_config
from trials.data.dataset import Dataset
from trials.data.supply import Held
from trials.trainer import Training

MIB, GIB = 2**20, 2**30
AUTO = Resources(cpu="auto", gpu="auto")
MACHINE = Given(16, 4, 64 * GIB)

byte_counts = st.integers(0, 80 * GIB)
takings = st.builds(
    Taken,
    cores=st.floats(0, 32),
    memory=byte_counts,
    gpu_memory=byte_counts,
    gpu_total=st.just(80 * GIB),
    gpu_context=st.none() | st.integers(0, GIB),
    gpu_busy=st.none() | st.floats(0, 1),
)


@given(takings)
def test_a_share_holds_what_was_taken_and_is_never_more_than_there_is(taken: Taken) -> None:
    has = share(taken, AUTO, MACHINE)
    assert 0 < has.cpu <= MACHINE.cpu
    assert has.cpu >= min(taken.cores, MACHINE.cpu) - 1 / STEP
    assert min(taken.memory, MACHINE.memory) <= has.memory <= MACHINE.memory
    assert 1 / MOST - 1 / ONE <= has.gpu <= 1
    at_once = together(has, MACHINE)
    assert at_once * has.cpu <= MACHINE.cpu + 1e-9
    assert at_once * has.memory <= MACHINE.memory


@given(st.lists(takings, min_size=1, max_size=60))
def test_those_that_share_a_gpu_fit_in_its_memory_and_its_time(shapes: list[Taken]) -> None:
    """Ray puts trials on a GPU while their parts, in ten-thousandths, make up no more than one."""
    left, aboard = ONE, []
    for taken in shapes:
        part = round(share(taken, AUTO, MACHINE).gpu * ONE)
        if part <= left:
            left -= part
            aboard.append(taken)
    if len(aboard) > 1:
        assert sum(one.gpu_memory + (one.gpu_context or 0) for one in aboard) <= 80 * GIB
        assert sum(one.gpu_busy or 0.0 for one in aboard) <= 1.0


@given(takings, takings)
def test_who_takes_more_is_given_no_less(one: Taken, other: Taken) -> None:
    both = share(most_of([one, other]), AUTO, MACHINE)
    for alone in (share(one, AUTO, MACHINE), share(other, AUTO, MACHINE)):
        assert both.cpu >= alone.cpu
        assert both.gpu >= alone.gpu
        assert both.memory >= alone.memory


@given(takings)
def test_who_runs_out_is_given_more_until_it_is_alone(taken: Taken) -> None:
    had = share(taken, AUTO, MACHINE)
    for _ in range(200):
        taken = most_of([taken, ran_out(had, taken)])
        more = share(taken, AUTO, MACHINE)
        assert more.memory > had.memory or more.memory in (0, MACHINE.memory)
        assert more.gpu >= had.gpu
        if (more.gpu, more.memory) == (had.gpu, had.memory):
            break
        had = more
    assert more.memory in (0, MACHINE.memory)
    assert more.gpu == 1 or taken.gpu_memory + (taken.gpu_context or 0) == 0


@given(st.integers(1, 2**50))
def test_memory_is_rounded_up_by_an_eighth_at_most(count: int) -> None:
    assert count <= rounded(count) <= count * 9 / 8 + 1
    assert rounded(rounded(count)) == rounded(count)


@pytest.mark.parametrize(
    ("cores", "given"),
    [(0.0, 0.05), (0.5, 0.55), (0.98, 1.0), (1.01, 1.0), (1.3, 1.45), (2.0, 2.0)],
)
def test_a_training_that_is_never_idle_is_given_whole_cores(cores: float, given: float) -> None:
    assert share(Taken(cores=cores), AUTO, MACHINE).cpu == given


def test_trials_count_on_their_share_of_a_gpu_or_on_a_part_that_is_always_the_same() -> None:
    parts = {0: 1.0, 1: 1.0, 0.25: 0.25, "auto": PART}
    assert {gpu: Resources(gpu=gpu).part for gpu in parts} == parts


def test_the_training_of_a_worker_counts_on_its_part_of_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[float] = []

    def noted(dataset: Dataset, device: torch.device, part: float) -> Held:
        parts.append(part)
        return Held(dataset, device)

    monkeypatch.setattr("trials.engine.table.supply_of", noted)
    build_training(SMALL, tmp_path, tmp_path / "cache", part=PART)
    assert parts == [PART]


def test_what_the_file_gives_as_a_number_stays() -> None:
    taken = Taken(cores=3.0, memory=GIB, gpu_memory=GIB, gpu_total=10 * GIB)
    assert share(taken, Resources(cpu=2, gpu="auto"), MACHINE) == Given(2, 0.125, 0)
    assert share(taken, Resources(cpu="auto", gpu=0.5), MACHINE).gpu == 0.5
    assert Resources(cpu="auto", gpu="auto").whole == Given(1, 1, 0)
    assert Resources(cpu="auto").threads == 1


# Shapes -------------------------------------------------------------------------------------------


def shape(**changes: Any) -> str:
    config: dict[str, Any] = {"preset": "sngan", "data": "digits", **changes}
    return shape_of(load_config(config).as_dict())


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"generator": {"lr": 0.5}}},
        {"seed": 7, "steps": 9, "evaluation": {"every": 3}},
        {"health": {"stop_on": ["mode_collapse"]}, "loss": {"name": "hinge", "margin": 0.5}},
    ],
)
def test_what_costs_nothing_changes_no_shape(changes: dict[str, Any]) -> None:
    assert shape(**changes) == shape()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 32},
        {"critic_steps": 1},
        {"tricks": {"gradient_penalty": True}},
        {"precision": {"dtype": "bfloat16"}},
        {"networks": {"generator": {"width": 64}}},
        {"data": {"name": "digits", "size": 16}},
        {"evaluation": {"samples": 512}},
        {"optimizer": {"generator": "sgd"}},
        {"optimizer": {"generator": {"beta1": 0.5}}},  # of sngan's 0.0: a moment is kept
    ],
)
def test_what_costs_something_makes_another_shape(changes: dict[str, Any]) -> None:
    assert shape(**changes) != shape()


# What is remembered -------------------------------------------------------------------------------


def test_what_was_seen_wrongly_is_forgotten_and_what_was_not_measured_is_not(
    tmp_path: Path,
) -> None:
    Learnt(tmp_path).note("a", Taken(4.0, 8 * GIB, GIB, 10 * GIB, gpu_context=7, gpu_busy=0.5))
    for _ in range(KEPT):
        Learnt(tmp_path).note("a", Taken(0.5, GIB, GIB))
    found = Learnt(tmp_path).of("a")
    assert found == Taken(0.5, GIB, GIB, 10 * GIB, gpu_context=7, gpu_busy=0.5)


@pytest.mark.parametrize("content", ["", "[", '[{"memory": -1}]', '[{"cores": 1e999}]', '"x"'])
def test_damaged_memories_are_none(content: str, tmp_path: Path) -> None:
    learnt = Learnt(tmp_path)
    learnt.note("a", Taken(1.0))
    (tmp_path / "shares" / "a.json").write_text(content)
    assert Learnt(tmp_path).of("a") is None
    assert Learnt(tmp_path).of("b") is None
    Learnt(tmp_path).note("a", Taken(2.0))
    assert Learnt(tmp_path).of("a") == Taken(2.0)


def test_what_cannot_be_kept_is_known_for_this_once(tmp_path: Path) -> None:
    (tmp_path / "shares").touch()
    learnt = Learnt(tmp_path)
    learnt.note("a", Taken(1.0))
    assert learnt.of("a") == Taken(1.0)


# A sweep ------------------------------------------------------------------------------------------


class Shared(Driven):
    """Driven by hand on a machine of 2 cores and 8 GiB."""

    def __init__(self, folder: Path, trials: int = 6, **changes: Any) -> None:
        super().__init__(
            folder,
            *(4, trials),
            resources=Resources(cpu="auto"),
            machine=Given(2, 0, 8 * GIB),
            **changes,
        )

    def probed(self, taken: Taken | None, number: int = PROBE) -> None:
        failure = None if taken else Failure("error", "ValueError: no")
        self._tell(number, Report(finished=True, failure=failure, taken=taken))
        self.hand_out()

    def report_taken(self, number: int, taken: Taken) -> None:
        step = self.steps(number) + 1
        evaluation = Evaluation(step, float(step), {"fid": 1.0 / step})
        self._tell(number, Report((evaluation,), step == STEPS, taken=taken))

    @property
    def given(self) -> dict[int, Given]:
        return {number: work.given for number, work in self.at_work.items()}


def test_a_shape_that_nobody_knows_is_probed_alone_before_its_trials_begin(tmp_path: Path) -> None:
    sweep = Shared(tmp_path)
    sweep.begin()
    assert sweep.given == {PROBE: Given(1, 0)}
    sweep.probed(Taken(cores=0.4, memory=GIB))
    assert set(sweep.given) == {0, 1, 2, 3}
    assert set(sweep.given.values()) == {Given(0.45, 0, rounded(1.2 * GIB))}
    assert not list(sweep.place.path.glob(".probe*"))
    assert [trial.attempts for trial in sweep.ledger.trials()] == [1, 1, 1, 1]
    assert sweep.ledger.trial(0).given == {"cpu": 0.45, "gpu": 0.0, "memory": rounded(1.2 * GIB)}
    assert [trial.state for trial in sweep.to_the_end()] == ["completed"] * 6


def test_later_shapes_are_probed_beside_others_with_room_to_grow(tmp_path: Path) -> None:
    widths = Parameter("width", Values((8, 16, 32, 64)))
    sweep = Shared(tmp_path, parameters=(widths,), search=Grid.Config(start_with_base=False))
    sweep.begin()
    sweep.probed(Taken(cores=0.1, memory=GIB))
    believed = Given(0.15, 0, rounded(1.2 * 1.5 * GIB))
    trial = Given(0.15, 0, rounded(1.2 * GIB))
    assert sweep.given == {0: trial, PROBE - 1: believed, PROBE - 2: believed}
    sweep.probed(Taken(cores=0.1, memory=2 * GIB), PROBE - 1)
    assert sweep.given[1].memory == rounded(1.2 * 2 * GIB)
    sweep.probed(Taken(cores=0.1, memory=GIB), PROBE - 2)
    assert sweep.given[2] == trial
    assert sweep.given[PROBE - 3].memory == rounded(1.2 * 3 * GIB)
    assert sweep.ledger.counts()["search"] == 4


def test_the_next_sweep_of_a_home_begins_with_what_the_last_one_saw(tmp_path: Path) -> None:
    first = Shared(tmp_path)
    first.begin()
    first.probed(Taken(cores=0.4, memory=GIB))
    again = Shared(tmp_path)
    again.begin()
    assert PROBE not in again.given
    assert set(again.given.values()) == {Given(0.45, 0, rounded(1.2 * GIB))}


@pytest.mark.parametrize("how", ["failed", "died"])
def test_a_probe_that_comes_to_nothing_gives_its_trials_all_there_is(
    how: str, tmp_path: Path
) -> None:
    sweep = Shared(tmp_path)
    sweep.begin()
    if how == "failed":
        sweep.probed(None)
    else:
        del sweep.at_work[PROBE]
        sweep.conductor.died(PROBE, "gone")
        sweep.hand_out()
    assert set(sweep.given.values()) == {Given(1, 0, 8 * GIB)}
    sweep.report_taken(0, Taken(cores=0.1, memory=GIB))
    sweep.report_taken(0, Taken(cores=0.1, memory=GIB))
    sweep.report_taken(0, Taken(cores=0.1, memory=GIB))
    sweep.hand_out()
    assert sweep.given[4] == Given(0.15, 0, rounded(1.2 * GIB))


def test_a_probe_that_never_began_or_left_its_machine_is_held_again(tmp_path: Path) -> None:
    sweep = Shared(tmp_path)
    sweep.begin()
    sweep._tell(PROBE, Report(left="its machine goes"))
    work = sweep.conductor.next_work()
    assert work is not None
    assert work.number == PROBE - 1
    sweep.conductor.died(work.number, "gone before it had begun")
    sweep.hand_out()
    assert list(sweep.given) == [PROBE - 2]
    sweep.probed(Taken(cores=0.4, memory=GIB), PROBE - 2)
    assert set(sweep.given.values()) == {Given(0.45, 0, rounded(1.2 * GIB))}


def test_no_memory_is_asked_for_that_may_never_be_free(tmp_path: Path) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    spec = replace(SWEEP, resources=Resources(cpu="auto", gpu="auto"))
    sharing = Sharing(spec, folder, machines=lambda: [Given(16, 8, 64 * GIB)])
    assert sharing.given(Work(REHEARSAL, "", "", {})) == Given(1, 1, 0)
    trial = Work(0, "", "", {"width": 8}, alone=True)
    took = Taken(cores=0.4, memory=GIB, gpu_memory=GIB, gpu_total=80 * GIB)
    Learnt(tmp_path / "cache").note(sharing._shape_of(trial.config), took)
    assert sharing.given(trial) == Given(0.45, 1, rounded(1.2 * GIB))
    assert sharing.given(replace(trial, alone=False)).gpu < 1


def test_trials_are_handed_out_for_machines_to_come_and_given_what_those_have(
    tmp_path: Path,
) -> None:
    folder = Home.at(tmp_path).sweep("one")
    folder.create()
    spec, now = replace(SWEEP, resources=Resources(cpu="auto")), 0.0
    there: list[Given] = []
    coming = [Given(2, 0), Given(2, 0)]
    sharing = Sharing(
        *(spec, folder), machines=lambda: there, to_come=lambda: coming, clock=lambda: now
    )
    trials = [Work(number, "", "", {"width": 8}) for number in range(4)]
    took = Taken(cores=1.0, memory=3 * GIB)
    Learnt(tmp_path / "cache").note(sharing._shape_of(trials[0].config), took)
    assert sharing.given(trials[0]) == Given(1, 0, 0), "whose memory nobody knows"
    there, coming, now = [Given(2, 0, 8 * GIB)], coming[:1], 100.0
    assert [sharing.given(trial).memory for trial in trials[:2]] == [rounded(1.2 * 3 * GIB)] * 2
    assert not sharing.crowds([0, 1]), "another machine may come"
    for trial in trials:
        sharing.given(trial)
    assert sharing.crowds([0, 1, 2, 3])


def test_a_trial_that_takes_more_than_was_believed_corrects_it_at_once(tmp_path: Path) -> None:
    sweep = Shared(tmp_path)
    sweep.begin()
    sweep.probed(Taken(cores=0.4, memory=GIB))
    sweep.report_taken(0, Taken(cores=0.4, memory=3 * GIB))
    for number in (1, 1, 1):
        sweep.report_taken(number, Taken(cores=0.4, memory=GIB))
    sweep.hand_out()
    assert sweep.given[4].memory == rounded(1.2 * 3 * GIB)


def test_a_trial_that_ran_out_of_memory_raises_the_share_of_its_shape(tmp_path: Path) -> None:
    sweep = Shared(tmp_path)
    sweep.begin()
    sweep.probed(Taken(cores=0.4, memory=GIB))
    sweep.fail(0, "out_of_memory", "MemoryError")
    sweep.hand_out()
    assert sweep.given[0] == Given(1, 0, 8 * GIB)  # once more, alone
    assert set(sweep.given) == {0, 1, 2, 3}
    for number in (0, 0, 0):
        sweep.report_taken(number, Taken(cores=0.4, memory=GIB))
    sweep.hand_out()
    assert sweep.given[4].memory >= 1.5 * rounded(1.2 * GIB)


def test_hours_are_counted_by_the_shares_that_trials_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.scheduling.conducting import meter

    now = [0.0]
    monkeypatch.setattr(meter.Meter.__init__, "__defaults__", (lambda: now[0],))
    sweep = Shared(tmp_path)
    sweep.conductor.look()
    sweep.begin()
    now[0] += 100  # of a probe, which is no trial
    sweep.probed(Taken(cores=0.5, memory=GIB))
    sweep.conductor.look()
    now[0] += 10
    sweep.conductor.look()
    assert sweep.conductor.meter.used.cpu_seconds == pytest.approx(4 * 0.55 * 10)


# Gauges -------------------------------------------------------------------------------------------


def test_a_gauge_sees_the_most_memory_since_its_start() -> None:
    gauge = ProcessGauge()
    gauge.start()
    before = gauge.taken().memory
    block = bytearray(64 * MIB)
    del block
    assert gauge.taken().memory >= before + 60 * MIB
    gauge.start()
    assert gauge.taken().memory <= before + 32 * MIB


class Cuda:
    """A GPU of 10 GiB of which 3 are taken, 2 by tensors."""

    def reset_peak_memory_stats(self) -> None:
        return None

    def synchronize(self) -> None:
        return None

    def mem_get_info(self) -> tuple[int, int]:
        return 7 * GIB, 10 * GIB

    def memory_reserved(self) -> int:
        return 2 * GIB

    def max_memory_reserved(self) -> int:
        return 4 * GIB


class Profile:
    """A profiler that has seen a millisecond of work."""

    def __init__(self, activities: object) -> None:
        return

    def __enter__(self) -> Profile:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def key_averages(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(self_device_time_total=1000.0)]


def test_a_gauge_sees_what_is_taken_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "_cuda", Cuda)
    monkeypatch.setattr("torch.profiler.profile", Profile)
    gauge = ProcessGauge()
    gauge.start()
    assert gauge.taken().gpu_busy is None
    with gauge.watching(alone=False):
        pass
    assert gauge.taken().gpu_context is None
    with gauge.watching(alone=True):
        pass
    taken = gauge.taken()
    assert (taken.gpu_memory, taken.gpu_total, taken.gpu_context) == (4 * GIB, 10 * GIB, GIB)
    assert taken.gpu_busy is not None
    assert 0 < taken.gpu_busy <= 1
    with mock.patch.object(Profile, "key_averages", return_value=[]), gauge.watching(alone=True):
        pass
    assert gauge.taken().gpu_busy == UNSEEN


def test_messages_keep_what_is_given_and_taken() -> None:
    work = Work(1, "f", "r", {}, given=Given(0.5, 0.25, GIB))
    assert Work.read(work.text()) == work
    report = Report(taken=Taken(0.5, GIB))
    assert Report.read(report.text()) == report
    assert json.loads(report.text())["taken"]["memory"] == GIB


def test_a_preview_counts_as_many_trials_as_this_machine_holds(tmp_path: Path) -> None:
    text = (
        "name: s\nbase: {data: digits, steps: 2, evaluation: {samples: 16, metrics: [fid]}}\n"
        "parameters: {seed: {values: [0, 1]}}\nsearch: {sampler: grid}\n"
        "limits: {parallel: 64}\nresources: {cpu: auto}\n"
    )
    sweep = parse_sweep(text)
    found = timed_forecast(sweep, 64, 0, tmp_path)
    assert 1 <= found["at_once"] <= 20 * (os.cpu_count() or 1)
    Learnt(tmp_path).note(shape_of(load_config(sweep.base).as_dict()), Taken(0.5, 2**59))
    found = timed_forecast(sweep, 64, 0, tmp_path)
    assert found["at_once"] == 1  # each would have all memory
    assert found["seconds"] == pytest.approx(64 * found["seconds_per_trial"])
    assert found["cpu_hours"] == pytest.approx(0.55 * found["hours"])


def test_a_forecast_counts_the_context_that_each_process_has_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "_cuda", Cuda)
    monkeypatch.setattr("torch.profiler.profile", Profile)
    idle = [SimpleNamespace(self_device_time_total=1e-6)]
    monkeypatch.setattr(Profile, "key_averages", lambda self: idle)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    text = (
        "name: s\nbase: {data: digits, steps: 2, device: cpu,\n"
        "  evaluation: {samples: 16, metrics: [fid]}}\n"
        "parameters: {seed: {values: [0, 1]}}\nsearch: {sampler: grid}\n"
        "limits: {parallel: 64}\nresources: {cpu: 1, gpu: auto}\n"
    )
    monkeypatch.setattr(Cuda, "max_memory_reserved", lambda self: GIB // 2)
    found = timed_forecast(parse_sweep(text), 64, 0, tmp_path)
    assert found["at_once"] == 5  # 0.5 GiB of tensors and a context of 1 in 10, by 1.2


def test_a_forecast_looks_at_the_whole_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[int, int]] = []

    def grows(training: Training, gauge: ProcessGauge, left: int, most: int) -> float:
        assert most < 100, "the first place leaves the others their steps"
        training.rehearse(1, left)
        looked.append((training.step, left))
        return float(training.step)

    monkeypatch.setattr("sweeper.preview._timed", grows)
    text = (
        "name: s\nbase: {data: digits, steps: 301, batch_size: 4,\n"
        "  networks: {generator: {width: 4}, discriminator: {width: 4}},\n"
        "  evaluation: {every: 301, samples: 16, metrics: [fid]}}\n"
        "parameters: {seed: {values: [0, 1]}}\nlimits: {trials: 2}\n"
    )
    found = timed_forecast(parse_sweep(text), 2, 0, tmp_path)
    # A step that takes as many seconds as there were before it takes half of all on average.
    assert [step for step, _ in looked] == [1, 102, 202, 301]
    assert found["seconds_per_step"] == pytest.approx(151, abs=2)
