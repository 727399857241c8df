"""`evaluation.lag: 1`: the same numbers as without it, measured beside the next training steps."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from sweeper.errors import SpecError
from sweeper.sweepfile import parse_sweep
from sweeper.testing.small import comparable, differ, small_config, tensors_of
from trials.config import TrialConfig, problems_of
from trials.errors import Preempted
from trials.evaluation.export import load_generator, saved_header
from trials.evaluation.monitor import Monitor
from trials.evaluation.results import Evaluation
from trials.trainer import Training, train

RULES = {"every": 2, "samples": 24, "metrics": ["fid", "kid", "precision", "recall"], "grid": 4}


def config(lag: int, **changes: Any) -> TrialConfig:
    """A small training with averaged weights, measured at steps 2, 4, 6, 8 and 9."""
    return small_config(
        **{"steps": 9, "tricks": {"ema": True}, "evaluation": {**RULES, "lag": lag}, **changes}
    )


def told(evaluations: Any) -> list[tuple[Any, ...]]:
    """What evaluations say, but for the clock and the machine."""
    return [
        (one.step, comparable(one.metrics), one.protocol, one.symptoms, one.samples)
        for one in evaluations
    ]


def whole(folder: Path, lag: int, **changes: Any) -> tuple[Training, list[Evaluation]]:
    """A training to its end, and what each call of `advance` has said."""
    training, said = Training(config(lag, **changes), folder), []
    while not training.finished:
        said.append(training.advance())
    return training, said


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The training without a lag."""
    return whole(tmp_path_factory.mktemp("without"), 0)[0]


def assert_the_same(training: Training, without: Training) -> None:
    """Verdicts, weights and the kept generator are those of a training without a lag."""
    assert told(training.history) == told(without.history)
    assert not differ(tensors_of(training), tensors_of(without))
    kept, expected = (load_generator(one.folder).state_dict() for one in (training, without))
    assert not differ(kept, expected)
    steps = [saved_header(one.folder)["step"] for one in (training, without)]
    assert steps[0] == steps[1]


def test_every_verdict_is_told_once_and_is_the_same(without: Training, tmp_path: Path) -> None:
    training, said = whole(tmp_path, 1)
    assert told(said) == told(training.history)
    assert_the_same(training, without)


def test_the_measures_are_taken_beside_the_next_steps(tmp_path: Path) -> None:
    trained, threads = threading.Event(), set()
    judge = Monitor.judge

    def waiting(monitor: Monitor, sight: Any) -> Any:
        threads.add(threading.current_thread())
        assert sight.step > 2 or trained.wait(60), "the training waits for the verdict"
        return judge(monitor, sight)

    training = Training(config(1), tmp_path)
    play = training.loop.play

    def playing() -> None:
        play()
        if training.step > 2:
            trained.set()

    with (
        mock.patch.object(Monitor, "judge", waiting),
        mock.patch.object(training.loop, "play", playing),
    ):
        assert training.advance().step == 2
    assert training.step == 4
    assert threads == threads - {threading.main_thread()} != set()


def test_one_that_is_wanted_at_once_is_made_where_the_others_are(
    without: Training, tmp_path: Path
) -> None:
    threads, judge = set(), Monitor.judge

    def seen(monitor: Monitor, sight: Any) -> Any:
        threads.add(threading.current_thread())
        return judge(monitor, sight)

    training = Training(config(1), tmp_path)
    training.rehearse(2)
    with mock.patch.object(Monitor, "judge", seen):
        evaluation = training.evaluate()
    assert told([evaluation]) == told(without.history[:1])
    assert threads == threads - {threading.main_thread()} != set()
    assert training.history == []


def test_one_that_is_abandoned_leaves_nothing_at_work(tmp_path: Path) -> None:
    goes_on, done, judge = threading.Event(), threading.Event(), Monitor.judge

    def late(monitor: Monitor, sight: Any) -> Any:
        if sight.step > 2:
            goes_on.wait(60)
            done.set()
        return judge(monitor, sight)

    training = Training(config(1), tmp_path)
    with mock.patch.object(Monitor, "judge", late):
        training.advance()
        assert not done.is_set()
        threading.Timer(0.2, goes_on.set).start()
        training.abandon()
    assert done.is_set()


class Killed(BaseException):
    """What nothing in between catches."""


@pytest.mark.parametrize(("place", "call"), [("sample", 1), ("judge", 3), ("conclude", 3)])
def test_a_kill_before_a_verdict_is_told_loses_nothing(
    place: str, call: int, without: Training, tmp_path: Path
) -> None:
    count, ours = 0, getattr(Monitor, place)

    def killed(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            raise Killed
        return ours(*given)

    with mock.patch.object(Monitor, place, killed), pytest.raises(Killed):
        whole(tmp_path, 1)
    again = Training(config(1), tmp_path)
    assert again.restore()
    known = list(again.history)
    while not again.finished:
        known.append(again.advance())
    assert told(known) == told(again.history)
    assert_the_same(again, without)


def test_a_training_that_is_left_after_any_call_goes_on_the_same(
    without: Training, tmp_path: Path
) -> None:
    said: list[Evaluation] = []
    for _ in range(5):
        training = Training(config(1), tmp_path)  # the former is forgotten with all it measured
        training.restore()
        said.append(training.advance())
    assert training.finished
    assert told(said) == told(without.history)
    assert_the_same(training, without)


def test_a_training_that_leaves_between_evaluations_goes_on_the_same(
    without: Training, tmp_path: Path
) -> None:
    leaving = Training(config(1), tmp_path)
    leaving.should_stop = lambda: leaving.step >= 5
    said = [leaving.advance(), leaving.advance()]
    with pytest.raises(Preempted):
        leaving.advance()
    again = Training(config(1), tmp_path)
    assert again.restore()
    assert again.step == 5
    while not again.finished:
        said.append(again.advance())
    assert told(said) == told(without.history)
    assert_the_same(again, without)


def test_where_a_training_is_told_to_stop_the_verdict_on_that_step_is_told(tmp_path: Path) -> None:
    heard: list[Evaluation] = []
    result = train(config(1), folder=tmp_path, until=4, report=heard.append)
    assert [one.step for one in heard] == [one.step for one in result.history] == [2, 4]
    train(config(1), folder=tmp_path, report=heard.append)
    assert [one.step for one in heard] == [2, 4, 6, 8, 9]


def test_numbers_that_are_not_finite_end_the_training_after_the_same_evaluations(
    tmp_path: Path,
) -> None:
    wild: dict[str, Any] = {
        "loss": "lsgan",
        "steps": 200,
        "networks": {"generator": {"norm": "none"}},
        "optimizer": {
            player: {"name": "sgd", "lr": 1.0, "momentum": 0.99}
            for player in ("generator", "discriminator")
        },
    }
    first, other = (whole(tmp_path / str(lag), lag, **wild)[0] for lag in (0, 1))
    assert 2 < other.step < 200
    assert told(other.history) == told(first.history)
    assert other.stopped_by == first.stopped_by is not None
    assert other.result().state == first.result().state == "failed"
    again = Training(config(1, **wild), tmp_path / "1")
    assert again.restore()
    assert again.stopped_by == other.stopped_by


def test_what_a_lag_does_not_go_with_is_refused() -> None:
    given = {"data": "digits", "evaluation": {"lag": 1}, "precision": {"tf32": True}}
    (problem,) = problems_of(given)
    assert problem.path == "evaluation.lag"
    with pytest.raises(SpecError) as refused:
        parse_sweep(
            "name: one\nbase: {data: digits, evaluation: {lag: 1}}\n"
            "parameters: {optimizer.generator.lr: {min: 1.0e-4, max: 1.0e-3}}\n"
            "scheduler: {name: pbt}\nlimits: {trials: 4}\n"
        )
    (found,) = refused.value.problems
    assert found.path == "base.evaluation.lag"
    assert "copies weights as they were measured" in found.message


def test_progress_that_is_told_as_the_log_of_a_step_is_closed_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = Training(config(1), tmp_path).monitor
    log = io.StringIO()
    log.close()
    monkeypatch.setattr("sys.stdout", log)
    monitor._progress.begin()
    monkeypatch.setattr("trials.metrics.progress.SECONDS", 0.0)
    monitor._progress("half of it")
