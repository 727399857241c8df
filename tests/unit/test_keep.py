"""Of trials that are over the best keep their files, as the file says; the rest goes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper import retention
from sweeper.causes import DIVERGENCE, ERROR, SCHEDULER, STOPPED_BY_HAND
from sweeper.retention import NOTE, going, notes, told
from sweeper.scheduling.conducting.steering import Order
from sweeper.search.samplers.random import Random
from sweeper.standings.kept import Kept
from sweeper.sweepfile.sections import Keep, Seeds
from sweeper.tracking import Outbox, start_writer
from sweeper.tracking.copies import copies_in
from sweeper.tracking.runs import find_runs
from sweeper.trial import Evaluation, Trial
from tests.driven import Driven
from tests.recorded import artifact_names
from trials.state.names import CHECKPOINT

GENERATOR = "generator.safetensors"
BEFORE = f"previous_{CHECKPOINT}"
RANDOM = Random.Config(start_with_base=False)


class Heavy(Driven):
    """A sweep whose workers leave checkpoints of `size` bytes, and a tenth of that in pictures and
    generators. `most` is what all of them took at the worst moment."""

    size = 40_000
    most = 0

    def report(self, number: int) -> None:
        if number >= 0:
            self.save(number)
            taken = (file.stat().st_size for file in self.place.trials.rglob("*"))
            self.most = max(self.most, sum(taken))
        super().report(number)

    def save(self, number: int) -> None:
        folder = self.place.trial(number)
        if (folder / CHECKPOINT).exists():
            (folder / CHECKPOINT).rename(folder / BEFORE)
        for name, size in ((CHECKPOINT, self.size), (GENERATOR, self.size // 10)):
            with (folder / name).open("wb") as file:
                file.truncate(size)

    def having(self, name: str) -> set[int]:
        return {int(file.parent.name) for file in self.place.trials.glob(f"*/{name}")}

    def best(self, count: int) -> set[int]:
        return {one.trial.number for one in self.ledger.standings().ranked[:count]}


def to_its_end(sweep: Heavy) -> None:
    sweep.begin()
    sweep.to_the_end()
    sweep.conductor.keeping.settle()


@contextmanager
def recorded(place: Path) -> Iterator[Outbox]:
    with Outbox(place / "outbox.db") as outbox:
        outbox.sweep_started("driven", study="id")
        yield outbox


def told_of(outbox: Outbox) -> dict[str, set[int]]:
    """Files that MLflow is to have: name → numbers of trials."""
    found: dict[str, set[int]] = {}
    for number, names in copies_in(outbox.path).items():
        for name in names:
            found.setdefault(name, set()).add(number)
    return found


def test_a_sweep_never_takes_more_than_what_it_keeps_and_what_runs(tmp_path: Path) -> None:
    with recorded(tmp_path) as outbox:
        sweep = Heavy(tmp_path, 4, 40, outbox, search=RANDOM)
        to_its_end(sweep)
        assert sweep.having(CHECKPOINT) == sweep.best(3) == told_of(outbox)[CHECKPOINT]
        assert sweep.having(GENERATOR) == sweep.best(10)
        assert sweep.having(BEFORE) == set()
        # Of one that runs two checkpoints, and the generator that it has so far.
        assert sweep.most < (3 + 4 * 2) * sweep.size + (10 + 4) * sweep.size // 10 + 40 * 1000
        let_go = {
            number for number in range(40) if "checkpoints" in notes(sweep.place.trial(number))
        }
        assert let_go == set(range(40))


@pytest.mark.slow
def test_the_same_with_checkpoints_as_large_as_they_are_and_a_real_mlflow(tmp_path: Path) -> None:
    uri, artifacts = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts"
    with recorded(tmp_path) as outbox, start_writer(outbox, uri, artifacts) as writer:
        sweep = Heavy(tmp_path, 4, 40, outbox, search=RANDOM)
        sweep.size = 50_000_000
        to_its_end(sweep)
        assert not writer.drain(300)
        assert sweep.most < (3 + 4 * 2) * sweep.size + (10 + 4) * sweep.size // 10 + 40 * 1000
        assert sweep.having(CHECKPOINT) == sweep.best(3)
    held = {
        int(run["tags"]["sweeper.trial"])
        for run in find_runs(uri, "driven")
        if CHECKPOINT in artifact_names(uri, run["run_id"])
    }
    assert held == sweep.best(3)


def test_a_trial_that_keeps_everything_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "sweeper.scheduling.recording.recorder.Recorder.stays",
        lambda _, number, name: asked.append(number),
    )
    sweep = Heavy(tmp_path, 2, 8, keep=Keep(checkpoints="all", generators="all"))
    to_its_end(sweep)
    assert sweep.having(CHECKPOINT) == sweep.having(BEFORE) == set(range(8))
    assert sorted(asked) == list(range(8))


def test_a_confirmation_has_what_it_may_choose_from_until_it_is_over(tmp_path: Path) -> None:
    keep = Keep(checkpoints="best 1", generators="none")
    sweep = Heavy(tmp_path, 2, 8, keep=keep, seeds=Seeds(confirm_top=4, replicates=2, screen=2))
    sweep.begin()
    sweep.to_the_end()
    assert sweep.having(GENERATOR) == sweep.best(4)
    sweep.conductor.keeping.settle()
    assert sweep.having(CHECKPOINT) == sweep.best(1)
    winners = {trial.number for trial in sweep.ledger.standings().by_search[:1]} | sweep.best(1)
    assert sweep.having(GENERATOR) == winners, "until their final score is measured"


@pytest.mark.parametrize(
    ("keep", "checkpoints", "generators", "pictures"),
    [
        (Keep(), {1, 2}, {1, 2}, 3),
        (Keep(checkpoints="unfinished", generators="best 1"), set(), {1}, 3),
        (Keep(checkpoints="all", generators="all", samples="last"), {1, 2, 3}, {1, 2, 3}, 1),
    ],
)
def test_each_setting_says_what_stays(
    keep: Keep, checkpoints: set[int], generators: set[int], pictures: int, tmp_path: Path
) -> None:
    trials = {number: trial_in(tmp_path / str(number), number) for number in (1, 2, 3)}
    allowed = {"checkpoints": {1, 2}, "generators": {1, 2}}
    for kind in allowed:
        count = Keep.best(getattr(keep, kind))
        allowed[kind] = (
            {1, 2, 3} if count is None else {number for number in (1, 2) if number <= count}
        )
    kept = Kept(
        None if keep.checkpoints == "all" else frozenset(allowed["checkpoints"]),
        None if keep.generators == "all" else frozenset(allowed["generators"]),
    )
    for number, trial in trials.items():
        folder = tmp_path / str(number)
        retention.let_go(folder, going(folder, trial, kept, keep), keep)
        assert (folder / CHECKPOINT).exists() == (number in checkpoints)
        assert (folder / BEFORE).exists() == (keep.checkpoints == "all")
        assert (folder / GENERATOR).exists() == (number in generators)
        assert len(list((folder / "samples").iterdir())) == pictures
        assert (folder / "samples" / "3.png").exists()


def trial_in(folder: Path, number: int, **changes: Any) -> Trial:
    (folder / "samples").mkdir(parents=True)
    for name in (CHECKPOINT, BEFORE, GENERATOR, *(f"samples/{step}.png" for step in (1, 2, 3))):
        (folder / name).write_bytes(b"content")
    evaluations = tuple(
        Evaluation(step, 0.0, {}, samples=f"samples/{step}.png") for step in (1, 2, 3)
    )
    evaluations += (Evaluation(4, 0.0, {}),)  # of which no picture was drawn
    trial = Trial(number, "completed", objective=(float(number),), evaluations=evaluations)
    return replace(trial, **changes)


@pytest.mark.parametrize(
    ("state", "symptom", "stays"),
    [
        ("running", None, True),
        ("failed", ERROR, True),
        ("failed", "worker_died", True),
        ("pruned", STOPPED_BY_HAND, True),
        ("failed", DIVERGENCE, False),
        ("pruned", SCHEDULER, False),
        ("completed", None, False),
    ],
)
def test_what_may_still_go_on_keeps_everything(
    state: str, symptom: str | None, stays: bool, tmp_path: Path
) -> None:
    trial = trial_in(tmp_path, 1, state=state, cause=symptom)
    keep = Keep(checkpoints="unfinished", generators="none", samples="last")
    files = going(tmp_path, trial, Kept(frozenset(), frozenset()), keep)
    names = {"samples/1.png", "samples/2.png", CHECKPOINT, BEFORE, GENERATOR}
    assert {file.name for file in files} == (set() if stays else names)


def test_a_picture_that_lies_elsewhere_stays(tmp_path: Path) -> None:
    trial = trial_in(tmp_path / "trial", 1)
    strange = Evaluation(0, 0.0, {}, samples="../outside.png")
    (tmp_path / "outside.png").touch()
    trial = replace(trial, evaluations=(strange, *trial.evaluations))
    files = going(tmp_path / "trial", trial, Kept(None, None), Keep(samples="last"))
    assert {file.name for file in files} == {"samples/1.png", "samples/2.png"}


class Killed(BaseException):
    """The driver is gone in the middle of this call."""


def killed_after(calls: int) -> Callable[[Path, bool], None]:
    """What removes so many files, and then no more."""
    left, unlink = [calls], Path.unlink

    def remove(path: Path, missing_ok: bool = False) -> None:
        if path.name in (CHECKPOINT, BEFORE, GENERATOR):
            if not left[0]:
                raise Killed
            left[0] -= 1
        unlink(path, missing_ok=missing_ok)

    return remove


@pytest.mark.parametrize("calls", range(5))
def test_a_kill_while_it_lets_go_leaves_a_sweep_that_goes_on(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Keep(checkpoints="best 1", generators="best 1")
    with recorded(tmp_path) as outbox:
        sweep = Heavy(tmp_path, 1, 6, outbox, keep=keep)
        sweep.begin()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", killed_after(calls))
            with pytest.raises(Killed):
                sweep.to_the_end()
        outbox.sweep_started("driven", study="id")
        again = Heavy(tmp_path, 1, 6, outbox, keep=keep)
        to_its_end(again)
        assert len(again.ledger.trials()) == 6
        assert again.having(CHECKPOINT) == again.having(GENERATOR) == again.best(1)
        assert again.having(BEFORE) == set()
        assert told_of(outbox)[CHECKPOINT] == again.best(1)


def test_a_full_disk_gets_room_though_it_has_none_for_the_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    trial = trial_in(tmp_path, 1)
    files = going(tmp_path, trial, Kept(frozenset(), None), Keep())
    monkeypatch.setattr(retention, "atomic_write", full)
    retention.let_go(tmp_path, files, Keep())
    assert not (tmp_path / CHECKPOINT).exists()
    assert not (tmp_path / NOTE).exists()


def test_a_trial_that_is_tried_again_without_its_checkpoint_begins_anew(tmp_path: Path) -> None:
    sweep = Heavy(tmp_path, 1, 2)
    sweep.begin()
    sweep.save(0)
    sweep.conductor._transitions._ledger.fail(0, DIVERGENCE, "not finite")
    sweep.conductor._transitions.end(sweep.ledger.trial(0))
    assert told(sweep.place.trial(0)) == [
        "its checkpoint was let go (keep.checkpoints: best 3)",
        "its generator was let go (keep.generators: best 10)",
    ]
    answer = sweep.conductor.obey(Order("1", "retry", 0))
    assert answer == (
        "trial 00000 begins anew: its checkpoint was let go (keep.checkpoints: best 3)"
    )
    assert sweep.ledger.begins_anew(0)
