"""Is this GAN still worth its steps? Signs of failure, seen in what the trainer measures anyway."""

from __future__ import annotations

from trials.health.sign import Sign, Symptom
from trials.health.signals import Signals
from trials.health.watcher import HealthConfig, Watcher

__all__ = ["HealthConfig", "Sign", "Signals", "Symptom", "Watcher"]
