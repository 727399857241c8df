"""Is this GAN still worth its steps? Six symptoms, seen in what the trainer measures anyway."""

from __future__ import annotations

from trials.health.signals import Signals
from trials.health.symptom import SYMPTOMS, Symptom
from trials.health.watcher import HealthConfig, Watcher

__all__ = ["SYMPTOMS", "HealthConfig", "Signals", "Symptom", "Watcher"]
