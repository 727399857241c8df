"""Running one sweep to its end under faults, and having it audited."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial

from tests.faults.chaos.auditor import Auditor, still_there, study_of
from tests.faults.chaos.faults import ALL
from tests.faults.chaos.scene import Scene
from tests.faults.chaos.stage import Setting, Stage, stage
from tests.faults.killing import Driver

STARTS = 100
"""How often a sweep is run before it must have come to its end."""

ENDINGS = (0, 1, 130, 143, -9)
"""Exit statuses that a driver may have in all this: its own, and that of SIGKILL."""

PATIENCE = 180.0
"""Seconds that a driver which is left alone may take to its end."""


@dataclass
class Chaos:
    """Runs sweeps of so many `trials`, does things to them, and has them audited. `faults` are all
    that were done, and `kinds` how often each was."""

    folder: Path
    chance: random.Random
    postgres: str
    trials: int
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    sweeps: int = 0
    starts: int = 0
    audited: int = 0
    _straight: dict[str, list[FrozenTrial]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.auditor = Auditor(self.trials)

    def torment(self, setting: Setting, most: float = math.inf) -> list[str]:
        """Run one sweep to its end under faults, at `most` so many. Returns what is wrong."""
        like = self.undisturbed(setting.kind) if setting.parallel == 1 else None
        self.sweeps += 1
        home = self.folder / f"{self.sweeps:02d}-{setting}"
        home.mkdir()
        print(setting, flush=True)
        seed = self.chance.randrange(1 << 30)
        with stage(setting, self.trials, home, self.postgres, seed) as around:
            findings = self._run(around, most)
            trials = study_of(setting.kind, home, around.storage).get_trials()
            self.audited += len(trials)
            return [*findings, *self.auditor.findings(setting.kind, home, trials, like)]

    def undisturbed(self, kind: str) -> list[FrozenTrial]:
        """The trials of such a sweep that nothing disturbs."""
        if kind not in self._straight:
            home = self.folder / f"{kind}-undisturbed"
            home.mkdir()
            with Stage(Setting(kind, "sqlite", 1), self.trials, home).start() as driver:
                assert driver.end() == 0, driver.output
            trials = study_of(kind, home).get_trials()
            findings = self.auditor.findings(kind, home, trials)
            assert not findings, findings
            self._straight[kind] = trials
        return self._straight[kind]

    def _run(self, around: Stage, most: float) -> list[str]:
        findings: list[str] = []
        before = len(self.faults)
        for _ in range(STARTS):
            self.starts += 1
            with around.start() as driver:
                while len(self.faults) - before < most and driver.alive():
                    self._wait(around, driver)
                    if driver.alive():
                        self._strike(around, driver)
                findings += _ended(driver)
                if driver.end() == 0:
                    return findings
        return [*findings, f"it was not finished after {STARTS} starts"]

    def _wait(self, around: Stage, driver: Driver) -> None:
        """Until some random moment: mostly soon after a trial has saved itself, so that the sweep
        comes to its end also where a start takes longer than a fault is far."""
        if self.chance.random() < 0.85:
            saved = _last_saved(around)
            deadline = time.monotonic() + 120
            while driver.alive() and _last_saved(around) == saved and time.monotonic() < deadline:
                time.sleep(0.02)
        time.sleep(self.chance.uniform(0, 4))

    def _strike(self, around: Stage, driver: Driver) -> None:
        fault = self.chance.choice(ALL)
        if told := fault(Scene(around, driver, self.chance)):
            self.faults.append(told)
            self.kinds[fault.__name__.replace("_", " ")] += 1
            print(f"  {len(self.faults):3d} {told}", flush=True)


def _last_saved(around: Stage) -> float:
    saved = [file.stat().st_mtime for file in around.folders.glob("*/checkpoint.pt")]
    return max(saved, default=0.0)


def _ended(driver: Driver) -> list[str]:
    """What is wrong with how a driver ended, once it has."""
    deadline = time.monotonic() + PATIENCE
    while driver.alive():
        driver.family()
        if time.monotonic() > deadline:
            return [
                f"a driver that was left alone hung for {PATIENCE:.0f} s: {driver.output[-500:]}"
            ]
        time.sleep(0.1)
    status, findings = driver.end(), []
    if status not in ENDINGS:
        findings.append(f"a driver ended with status {status}: {driver.output[-500:]}")
    if "Traceback" in driver.output:
        findings.append(f"a driver printed a traceback: {driver.output[-3000:]}")
    if left := still_there(driver.family(), patience=90):
        findings.append(f"a driver left behind: {', '.join(left)}")
    return findings
