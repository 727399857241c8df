"""Who may write into a trial's folder: whoever was handed it last, wherever the others stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.working import attempts
from sweeper.testing.small import small_config
from trials import files
from trials.errors import TakenOver
from trials.files import atomic_write
from trials.trainer import Training

ROOT = Path(__file__).parents[2]
PLACE = Place("a machine", "its node", ("0", "3"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a trial's folder, rooms and the log left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.relative_to(folder).parts[0].startswith(".")
        and path.name != attempts.LOG
    }


def test_a_folder_is_written_by_the_attempt_that_it_was_handed_to(tmp_path: Path) -> None:
    room = attempts.hand_out(tmp_path / "trial")
    with attempts.taken_up(room, PLACE):
        atomic_write(tmp_path / "trial" / "checkpoint", "one")
        atomic_write(tmp_path / "elsewhere", "not of the trial")
        assert attempts.place_of(tmp_path / "trial") == PLACE
    attempts.take_back(tmp_path / "trial")
    assert contents(tmp_path / "trial") == {"checkpoint": b"one"}
    there = sorted(path.name for path in (tmp_path / "trial").iterdir())
    assert there == ["checkpoint", attempts.LOG]
    with pytest.raises(TakenOver), attempts.taken_up(room, PLACE):
        pass


MOMENTS = {
    "before anything": (files.os, "open"),
    "before it is durable": (files.os, "fsync"),
    "before it gets its name": (files.os, "replace"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_wakes_in_the_middle_of_a_write_writes_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "trial"
    first = attempts.hand_out(folder)
    place, name = MOMENTS[moment]
    real: Callable[..., object] = getattr(place, name)

    def slept(*args: object, **options: object) -> object:
        monkeypatch.setattr(place, name, real)
        with attempts.taken_up(
            attempts.hand_out(folder), PLACE
        ):  # meanwhile the trial goes on elsewhere
            atomic_write(folder / "checkpoint", "of the second attempt")
        return real(*args, **options)

    with attempts.taken_up(first, PLACE):
        monkeypatch.setattr(place, name, slept)
        with pytest.raises(TakenOver):
            atomic_write(folder / "checkpoint", "of the first attempt")
        assert contents(folder) == {"checkpoint": b"of the second attempt"}
        with pytest.raises(TakenOver):
            atomic_write(folder / "checkpoint", "of the first attempt")
    assert contents(folder) == {"checkpoint": b"of the second attempt"}


@pytest.mark.parametrize("evaluations", [0, 1])
def test_nothing_of_a_training_changes_once_its_trial_goes_on_elsewhere(
    evaluations: int, tmp_path: Path
) -> None:
    config = small_config()
    with attempts.taken_up(attempts.hand_out(tmp_path), PLACE):
        frozen = Training(config, tmp_path)
        for _ in range(evaluations):
            frozen.advance()
        attempts.hand_out(tmp_path)
        before = contents(tmp_path)
        with pytest.raises(TakenOver):
            frozen.advance()
        with pytest.raises(TakenOver):
            frozen.save()
        if evaluations:
            with pytest.raises(TakenOver):
                frozen.take_over(tmp_path)
        with pytest.raises(TakenOver):
            Training(config, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_log_gets_no_line_of_a_worker_that_wakes(goes_on: bool, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    for line in ("one\n", "two\n"):
        room = attempts.hand_out(folder)
        with (room / attempts.LOG).open("a", buffering=1) as log:
            log.write(line)
            assert (folder / attempts.LOG).read_text().endswith(line)  # read while it is written
            attempts.take_back(folder)
            log.write("stale\n")
            if goes_on:
                second = attempts.hand_out(folder)
                log.write("stale\n")
                with (second / attempts.LOG).open("a") as newer:
                    newer.write("newer\n")
                log.write("stale\n")
        with pytest.raises(FileNotFoundError):
            (room / attempts.LOG).open("a")
    told = "one\nnewer\ntwo\nnewer\n" if goes_on else "one\ntwo\n"
    attempts.take_back(folder)
    assert (folder / attempts.LOG).read_text() == told


def test_a_damaged_checkpoint_is_removed_by_the_attempt_that_has_the_trial(tmp_path: Path) -> None:
    with attempts.taken_up(attempts.hand_out(tmp_path), PLACE):
        frozen = Training(small_config(), tmp_path)
        frozen.checkpoint_file.write_bytes(b"cut")
        attempts.hand_out(tmp_path)
        before = contents(tmp_path)
        with pytest.raises(TakenOver):
            frozen.restore()
        with pytest.raises(TakenOver):
            frozen.forget()
    assert contents(tmp_path) == before


WRITER = """
import sys
from pathlib import Path
from sweeper.scheduling.working import attempts
from sweeper.scheduling.machines.places import Place
from trials.files import atomic_write
room = Path(sys.argv[1])
with attempts.taken_up(room, Place()):
    while True:
        atomic_write(room.parent / "checkpoint", "of the first attempt " * 1000)
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_process_that_was_stopped_wakes_and_writes_nothing(seed: int, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    frozen = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(attempts.hand_out(folder))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "checkpoint").exists():
        assert frozen.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0.0, 0.05))
    frozen.send_signal(signal.SIGSTOP)
    with attempts.taken_up(attempts.hand_out(folder), PLACE):
        atomic_write(folder / "checkpoint", "of the second attempt")
        frozen.send_signal(signal.SIGCONT)
        assert "TakenOver" in frozen.communicate(timeout=60)[1]
    assert contents(folder) == {"checkpoint": b"of the second attempt"}
