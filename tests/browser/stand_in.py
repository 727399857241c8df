"""A driver that trains nothing: it tells the study what a training might have measured."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sweeper.home import SweepFolder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.search.address import JOURNAL
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Symptom, Trial

PROTOCOL = {"extractor": "digits", "data": "digits", "real_count": "1797", "fake_count": "500"}
STEPS = 8
"""Evaluations of a trial."""


class StandIn:
    """Drives one sweep, a trial at a time."""

    def __init__(self, sweep: Sweep, folder: SweepFolder, *, samples: bool = True) -> None:
        folder.create()
        self.sweep, self.folder, self._samples = sweep, folder, samples
        self._begun = 0
        self.ledger = Ledger.open(sweep, folder, JOURNAL)
        keep_spec(sweep, folder, None)

    def begin(self) -> Trial | None:
        """The next trial, begun; None where the budget is spent."""
        budget = self.ledger.budget
        trial = self.ledger.ask() if budget is None or self._begun < budget else None
        if trial is not None:
            self._begun += 1
            self.ledger.started(trial.number)
            self._log(trial, f"trial {trial.name} begins\n")
        return trial

    def report(self, trial: Trial, index: int) -> float:
        """One evaluation, the `index`th of STEPS; its value."""
        step, value = self._step(trial, index), self._value(trial, index)
        metrics = {"fid": value, "precision": 1 / (1 + value / 40), "recall": 1 / (1 + value / 90)}
        samples = self._leave(trial, step, value) if self._samples else None
        seen = ()
        if value > 300:
            seen = (Symptom("mode_collapse", step, {}, "", "few digits are left"),)
        self.ledger.report(
            trial.number, Evaluation(step, time.time(), metrics, PROTOCOL, seen, samples)
        )
        self._log(trial, f"step {step}: FID {value:.2f}\n")
        return value

    def run(self, trial: Trial) -> None:
        """A whole trial, in one write."""
        with self.ledger.together():
            for index in range(1, STEPS + 1):
                value = self.report(trial, index)
                if value > 300 and index > 2:
                    self.ledger.prune(trial.number, "mode_collapse", "few digits are left")
                    return
                if index == 3 and trial.number % 11 == 7:
                    self.ledger.fail(trial.number, "error", "the loss is NaN", "Traceback: NaN\n")
                    return
            self.ledger.complete(trial.number, [value])

    def _step(self, trial: Trial, index: int) -> int:
        return int(trial.config.get("steps", 800)) * index // STEPS

    def _value(self, trial: Trial, index: int) -> float:
        rates = trial.config.get("optimizer", {})
        rate = rates.get("generator", {}).get("lr", 2e-4)
        luck = np.random.default_rng([trial.number, index]).normal()
        tricks = 4 * len(trial.config.get("tricks", {}))
        floor = 40 + 12 * math.log10(rate / 2e-3) ** 2 - tricks + trial.number % 3
        value = max(floor, 3.0) + 250 * math.exp(-index / 1.5) + abs(luck)
        return value + 60 * index * (rate > 8e-3)

    def _leave(self, trial: Trial, step: int, value: float) -> str:
        """A sheet of eight by eight tiles, the noisier the worse it is."""
        noise = np.random.default_rng(trial.number)
        tile, gap = 16, 2
        side = gap + 8 * (tile + gap)
        sheet = np.full((side, side, 3), 255, np.uint8)
        ramp = np.add.outer(np.arange(tile), np.arange(tile)) * 8 % 256
        for row in range(8):
            for column in range(8):
                picture = ramp * (row + 1) / 8 + noise.normal(0, value / 2, (tile, tile))
                top, left = gap + row * (tile + gap), gap + column * (tile + gap)
                pixels = np.clip(picture, 0, 255).astype(np.uint8)
                sheet[top : top + tile, left : left + tile] = pixels[:, :, None]
        name = f"samples/{step:06d}.png"
        file = self.folder.trial(trial.number) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet).save(file)
        return name

    def _log(self, trial: Trial, text: str) -> None:
        file = Path(self.folder.trial(trial.number)) / "log.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(text)
