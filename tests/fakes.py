"""A training that trains nothing: instant, exact, and as mischievous as a test wants it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.working import trainable
from sweeper.scheduling.working.messages import REHEARSAL, Report, Work
from sweeper.sharing.shares import Taken
from sweeper.trial import Evaluation, Symptom
from trials.errors import CheckpointError, DataError, Preempted
from trials.files import atomic_write

LEAK: list[bytearray] = []


class FakeGauge:
    """Says that a process takes what the training in it says that it `takes`."""

    now: ClassVar[dict[str, Any]] = {}

    def start(self) -> None:
        pass

    def watching(self, *, alone: bool) -> AbstractContextManager[None]:
        return nullcontext()

    def taken(self) -> Taken:
        return Taken(**self.now)


class FakeTraining:
    """The value at a step follows from the config and the steps before it, as in a real training.

    Config: `x` and `y` decide the value, `steps` and `every` its evaluations, `seconds` how long
    each takes, `takes` how much of the machine, `trouble` what goes wrong at which step.
    """

    def __init__(self, config: Mapping[str, Any], folder: Path, cache: Path) -> None:
        self.config = config
        self.folder = folder
        self.history: list[Evaluation] = []
        self.stopped_by: Symptom | None = None
        self.notes: list[str] = []
        self.should_stop: Callable[[], bool] = lambda: False
        self.state = 1.0
        FakeGauge.now = dict(config.get("takes", {}))

    @property
    def protocol(self) -> Mapping[str, str]:
        return {}

    @property
    def step(self) -> int:
        return self.history[-1].step if self.history else 0

    @property
    def finished(self) -> bool:
        return self.stopped_by is not None or self.step >= self.config.get("steps", 4)

    def restore(self) -> bool:
        file = self.folder / "checkpoint.json"
        if not file.exists():
            return False
        saved = json.loads(file.read_text())
        self.state = saved["state"]
        self.history = [Evaluation.from_dict(one) for one in saved["history"]]
        with (self.folder / "restored").open("a") as marks:
            marks.write(f"{self.step}\n")
        return True

    def forget(self) -> None:
        (self.folder / "checkpoint.json").unlink(missing_ok=True)

    def take_over(self, checkpoint: Path) -> None:
        file = checkpoint / "checkpoint.json"
        if not file.exists():  # kept for a while only, as a real one
            raise CheckpointError(f"{file} is gone")
        saved = json.loads(file.read_text())
        self.state = saved["state"]
        self.history = [Evaluation.from_dict(one) for one in saved["history"]]
        self._save()

    def advance(self) -> Evaluation:
        step = self.step + self.config.get("every", 1)
        time.sleep(self.config.get("seconds", 0.0))
        self._trouble(step)
        if self.should_stop():
            self._save()
            raise Preempted("between two evaluations")
        x, y = self.config.get("x", 0.0), self.config.get("y", 0.0)
        self.state = 0.5 * self.state + 0.1 * x
        value = (x - 0.3) ** 2 + (y - 0.7) ** 2 + self.state / step
        metrics = {"fid": value, "state": self.state}
        if self.config.get("trouble") == "nan" and step > 1:
            metrics["fid"] = float("nan")
        evaluation = Evaluation(step, time.time(), metrics)
        self.history.append(evaluation)
        self._save()
        with (self.folder / "trained").open("a") as marks:
            marks.write(f"{step}\n")
        return evaluation

    def rehearse(self, steps: int = 1, left: int | None = None) -> bool:
        if self.config.get("trouble") == "no data":
            raise DataError("there are no pictures")
        return False

    def evaluate(self) -> None:
        pass

    def abandon(self) -> None:
        (self.folder / "abandoned").touch()

    def _save(self) -> None:
        text = json.dumps({"state": self.state, "history": [one.as_dict() for one in self.history]})
        atomic_write(self.folder / "checkpoint.json", text)

    def _trouble(self, step: int) -> None:
        trouble = self.config.get("trouble")
        if trouble == "leak":
            trainable.GROWTH_TO_RETIRE = 64 << 20
            LEAK.append(bytearray(os.urandom(1 << 20) * 40))
            (self.folder / f"process {os.getpid()}").touch()
        if trouble == "raise" and step == 2:
            print("the last thing it printed")
            raise RuntimeError("a training that raises")
        if trouble == "memory" and step == 2:
            raise MemoryError("cannot allocate memory")
        if trouble == "leave once" and step == 2 and not (self.folder / "left").exists():
            (self.folder / "left").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        if trouble == "GPU 0" and os.environ.get("CUDA_VISIBLE_DEVICES") == "0":
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        if trouble == "memory once" and step == 2 and not (self.folder / "ran out").exists():
            (self.folder / "ran out").touch()
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        if trouble in ("mode_collapse", "divergence") and step == 2:
            self.stopped_by = Symptom(trouble, step, {}, "", "seen in a test")
        if trouble == "die" and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "hang" and step == 2:
            time.sleep(3600)
        if trouble == "die once" and step == 2 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def next_trial(conductor: Conductor) -> Work | None:
    """What is handed out next, once the rehearsal before the first trial has gone well."""
    work = conductor.next_work()
    while work is not None and work.number == REHEARSAL:
        conductor.heard(REHEARSAL, Report(finished=True))
        work = conductor.next_work()
    return work


def fake(config: Mapping[str, Any], folder: Path, cache: Path) -> FakeTraining:
    """The factory of fakes."""
    return FakeTraining(config, folder, cache)
