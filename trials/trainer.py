"""One training in one folder: train, evaluate, save, go on.

    while there is something left to train:
        train to the next evaluation         trials.engine.loop
        measure, draw, keep the best, watch  trials.evaluation.monitor
        save                                 trials.state.checkpoint

A `Training` is driven from outside by `Training.advance`, one evaluation at a time;
`train` drives it to its end. With `evaluation.lag` it saves before it measures, and measures beside
the next steps (`trials.evaluation.lagging`).
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trials.config import TrialConfig
from trials.data import open_data
from trials.data.dataset import Dataset
from trials.devices import begin_on
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.errors import CheckpointError, Preempted, StaleCheckpointError
from trials.evaluation.export import take_over_generator
from trials.evaluation.lagging import Lagging
from trials.evaluation.monitor import Monitor
from trials.evaluation.results import Evaluation, TrialResult, TrialState
from trials.files import atomic_write
from trials.health import Sign, Symptom
from trials.metrics.protocol import alike, differing
from trials.part import using, with_its_parts
from trials.state import checkpoint
from trials.state.names import CHECKPOINT
from trials.temporary import remove_leftovers

log = logging.getLogger(__name__)


@with_its_parts
class Training:
    """One training in one folder, which `restore` resumes at its last checkpoint. It shares a GPU
    with others where its `part` of that is below 1."""

    def __init__(
        self, config: TrialConfig, folder: Path, *, cache: Path | None = None, part: float = 1.0
    ) -> None:
        self.config, self.folder = config, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)  # of a training that was killed while it wrote
        self.dataset = _data_for(config, cache)
        device = begin_on(config.device, config.precision.dtype)
        with using({"parts": config.parts}):
            tricks = config.build_tricks()
            self.game = ComposedGame(config, tricks, self.dataset, device, part)
            self.monitor = Monitor(config, self.folder, self.game, cache=cache)
        self.notes: list[str] = []
        """What a reader of the log should know of this training, in sentences."""
        self.loop = Loop(config, self.game, self.notes.append)
        self._lagging = Lagging(self.monitor, self.loop) if config.evaluation.lag else None
        self.history: list[Evaluation] = []
        self.stopped_by: Symptom | None = None
        self.should_stop: Callable[[], bool] = lambda: False
        """Asked after every step: where it says so, the training saves itself there and ends."""
        self.fingerprints = self._record()

    @property
    def step(self) -> int:
        """Generator steps done."""
        return self.game.step

    @property
    def protocol(self) -> Mapping[str, str]:
        """By which the next evaluation will be measured."""
        return self.monitor.protocol

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train: done, or stopped by a symptom."""
        return self.stopped_by is not None or (
            self.step >= self.config.steps
            and bool(self.history)
            and self.history[-1].step == self.step
        )

    def advance(self) -> Evaluation:
        """Train to the next evaluation, measure, save, and say what was found.

        With `evaluation.lag` that is being measured from then on, and what is said was found at the
        evaluation before; the first call trains to the second one.

        Raises:
            Preempted: it was asked to leave before it was there, and has saved itself as it is.
        """
        if self._lagging is not None:
            return self._advance_beside(self._lagging)
        if self._left():
            self.save()
            raise Preempted(f"left at step {self.step}, between two evaluations")
        evaluation = self.evaluate()
        self.history.append(evaluation)
        self.save()
        return evaluation

    def _left(self) -> bool:
        """Train to the next evaluation. Whether it was asked to leave before it was there."""
        until = self.loop.next_evaluation()
        self.loop.run_to(until, self.should_stop)
        return self.step < until and self.loop.probe.healthy

    def _advance_beside(self, lagging: Lagging) -> Evaluation:
        told = None
        while told is None:
            left = self._left()
            told = self._conclude()
            if left:
                self.save()
                if told is None:
                    raise Preempted(f"left at step {self.step}, between two evaluations")
                return told
            if self.stopped_by is None and (not self.history or self.history[-1].step < self.step):
                lagging.gather()
            self.save()
            lagging.begin()
        return told

    def _conclude(self) -> Evaluation | None:
        """The evaluation that is being measured, once that is done; None where none is."""
        told = None if self._lagging is None else self._lagging.conclude(self.history)
        if told is not None:
            self.history.append(told)
            self.stopped_by = self.monitor.fatal(told)
        return told

    def settle(self) -> Evaluation | None:
        """Wait for what is being measured, save, and say what was found; None where nothing is."""
        told = self._conclude()
        if told is not None:
            self.save()
        return told

    def rehearse(self, steps: int = 1, left: int | None = None) -> bool:
        """Train some steps, to see that everything is there that a training needs, or what it
        takes; saves nothing. Where at most so many should be `left`, those between are skipped:
        what grows takes most at its end. Whether there are more to train."""
        return self.loop.rehearse(steps, left)

    def run_to(self, step: int) -> None:
        """Train up to `step` without evaluating; stops early where a number is not finite."""
        self.loop.run_to(step)

    def evaluate(self) -> Evaluation:
        """Measure the generator as it is now; trains and saves no checkpoint."""
        if self._lagging is None:
            told = self.monitor.evaluate(self.loop, self.history)
        else:
            told = self._lagging.at_once(self.history)
        self.stopped_by = self.monitor.fatal(told)
        return told

    def abandon(self) -> None:
        """End with nothing at work: what is still measured is waited for, and told to nobody."""
        if self._lagging is not None:
            self._lagging.abandon()

    def result(self) -> TrialResult:
        """How it ended, or how far it is."""
        state: TrialState = "completed" if self.finished else "running"
        if self.stopped_by is not None:
            state = Sign.named(self.stopped_by.name).ends_as
        best = self.monitor.best(self.history)
        return TrialResult(state, self.folder, tuple(self.history), best, self.stopped_by)

    # Saving and going on ---------------------------------------------------------------------

    def _record(self) -> frozenset[str]:
        """Write the configuration beside the checkpoint; the fingerprints that this may have.

        Where a former version has written this very configuration its record stays: a checkpoint of
        that version is known by it.
        """
        file, fingerprints = self.folder / "config.json", frozenset({self.config.fingerprint()})
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if isinstance(record := json.loads(file.read_text("utf-8")), dict):
                fingerprints = self.config.fingerprints(record)
        if len(fingerprints) == 1:
            atomic_write(file, json.dumps(self.config.as_dict(), indent=2))
        return fingerprints

    @property
    def checkpoint_file(self) -> Path:
        """Where the checkpoint lies."""
        return self.folder / CHECKPOINT

    def save(self) -> None:
        """Write the checkpoint, and keep the one before it; afterwards a kill loses nothing up to
        this step. What is still measured of a step before this one is waited for."""
        if self._lagging is not None and self._lagging.step not in (None, self.step):
            self._conclude()
        state = {
            "game": self.game.state(),
            **self.loop.probe.state(),
            "watcher": self.monitor.watcher.state_dict(),
            "real": self.loop.real,
            "history": json.dumps([evaluation.as_dict() for evaluation in self.history]),
            **(self._lagging.state() if self._lagging is not None else {}),
        }
        checkpoint.save(self.checkpoint_file, self.config.fingerprint(), state)

    def restore(self) -> bool:
        """Go on from the folder's checkpoint, or from the one before it where that is damaged;
        False where there is none that is whole. `notes` tells of damage.

        Raises:
            CheckpointError: it cannot be read, or belongs to another configuration.
            StaleCheckpointError: it was trained on other data, or measured by another protocol.
        """
        state, damage = checkpoint.recover(self.checkpoint_file, self.fingerprints)
        if state is not None:
            self._load(self.checkpoint_file, state)
            self._go_on_measuring()
        if damage:
            there = f"goes on from the one before it, at step {self.step}"
            told = "goes back to where it began" if state is None else there
            self.notes.append(f"{'; '.join(damage)}; the training {told}")
        return state is not None

    def forget(self) -> None:
        """Leave the folder's checkpoints behind: this training begins where it begins."""
        checkpoint.forget(self.checkpoint_file)

    def take_over(self, folder: Path) -> None:
        """Go on from the checkpoint in another training's `folder`, with one's own settings.

        Weights, moments, random streams, history and the best generator so far are the other's;
        learning rates and knobs are one's own (the exploiting step of population based training,
        arXiv 1711.09846). A symptom that the other showed last is looked for again.

        Raises:
            CheckpointError: there is none, or its networks or tricks are others.
        """
        file = Path(folder) / self.checkpoint_file.name
        state = checkpoint.load(file, None)
        if state is None:
            raise CheckpointError(f"{file}: there is no checkpoint")
        with self.game.settings_kept():
            self._load(file, state)
        self._go_on_measuring()
        self.monitor.watcher.present.clear()
        self.stopped_by = None
        if self.history:
            self.history[-1] = replace(self.history[-1], symptoms=())
        take_over_generator(Path(folder), self.folder)
        # From here on this training is the other's: nothing of before may be gone back to.
        self.forget()
        self.save()

    def _load(self, file: Path, state: Mapping[str, Any]) -> None:
        try:
            history = [Evaluation.from_dict(given) for given in json.loads(state["history"])]
            self.game.load_state(state["game"])
            self.loop.stepper.forget()
            _refuse_another_protocol(history, self.protocol)
            self.loop.probe.load_state(state)
            if (real := state["real"]) is not None:
                images, labels = real
                device = self.game.device
                real = images.to(device), None if labels is None else labels.to(device)
            self.loop.real = real
            self.monitor.watcher.load_state_dict(state["watcher"])
            if self._lagging is not None:
                self._lagging.load_state(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{file}: does not fit this configuration ({error})") from error
        self.history = history
        self.stopped_by = self.monitor.fatal(history[-1]) if history else None

    def _go_on_measuring(self) -> None:
        if self._lagging is not None:
            self._lagging.begin()


def train(
    config: TrialConfig,
    *,
    folder: Path | str,
    report: Callable[[Evaluation], bool | None] | None = None,
    tell: Callable[[str], object] = print,
    begun: Callable[[Training], object] = lambda training: None,
    until: int | None = None,
    cache: Path | None = None,
) -> TrialResult:
    """Train to the end, or to the evaluation at step `until`, taking up `folder` where it was left.

    `report` hears every evaluation as it is made; it ends the training by returning False. `tell`
    is given each sentence that a reader of the log should know, of a checkpoint that was damaged.
    `begun` is given the training before its first step here.

    Raises:
        CheckpointError: the folder holds a checkpoint that cannot be gone on with.
        DataError: the data cannot be read.
    """
    training = Training(config, Path(folder), cache=cache)
    training.restore()
    _tell_news(training, tell)
    begun(training)
    while not training.finished and training.step < (until or config.steps + 1):
        evaluation = training.advance()
        _tell_news(training, tell)
        if report is not None and report(evaluation) is False:
            break
    else:
        if (last := training.settle()) is not None and report is not None:
            report(last)
    return training.result()


def _refuse_another_protocol(history: Sequence[Evaluation], now: Mapping[str, str]) -> None:
    """One training has one protocol: its best generator is kept, and its health is judged, by
    comparing its evaluations."""
    before = next((one.protocol for one in reversed(history) if one.protocol), {})
    if not alike(before, now):
        names = ", ".join(differing(before, now))
        raise StaleCheckpointError(
            f"the training of the checkpoint was measured by another protocol (other {names}):"
            " bring that back, or delete the checkpoint and train anew"
        )


def _data_for(config: TrialConfig, cache: Path | None) -> Dataset:
    """The data of a training; what was left out of them is in the log."""
    dataset = open_data(config.data, cache=cache)
    for warning in dataset.intake.warnings():
        log.warning("data (%s): %s", config.data.name, warning)
    return dataset


def _tell_news(training: Training, tell: Callable[[str], object]) -> None:
    while training.notes:
        tell(training.notes.pop(0))
