"""A sweep at work, and all that a fault may lay hands on."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass

import psutil

from tests.faults.chaos.stage import Stage
from tests.faults.killing import Driver, title


@dataclass
class Scene:
    """The driver that is at work now, and what is around it."""

    stage: Stage
    driver: Driver
    chance: random.Random

    def named(self, *names: str) -> list[psutil.Process]:
        """Processes of the driver's by the start of what they call themselves."""
        return [one for one in self.driver.family() if title(one).startswith(names)]

    def command(self, words: str) -> list[psutil.Process]:
        """Processes of the driver's with these words in their command line."""
        chosen = []
        for one in self.driver.family():
            with contextlib.suppress(psutil.Error):
                if words in " ".join(one.cmdline()):
                    chosen.append(one)
        return chosen
