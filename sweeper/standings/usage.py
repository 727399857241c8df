"""What a sweep has used, and whether that is all that its limits allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sweeper.sweepfile.sections import Limits


@dataclass(frozen=True)
class Usage:
    """Seconds of a sweep in all its runs: by the clock, while it was neither paused nor waiting for
    its turn, and of GPUs and CPUs, as many as each trial has, while it was at work."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def read(cls, attrs: Mapping[str, Any]) -> Self:
        """What the study has of it; before version 0.2 it had seconds by the clock alone."""
        return cls(**attrs.get("used", {"seconds": float(attrs.get("seconds", 0.0))}))

    def as_dict(self) -> dict[str, float]:
        """Plain values, as the study keeps them."""
        return asdict(self)

    def limit(self, limits: Limits) -> str:
        """Which limit has been reached, in words; empty while none is."""
        used = {
            "hours": self.seconds,
            "gpu_hours": self.gpu_seconds,
            "cpu_hours": self.cpu_seconds,
        }
        for name, seconds in used.items():
            hours = getattr(limits, name)
            if hours is not None and seconds >= 3600 * hours:
                return f"limits.{name} ({hours:g}) has been reached"
        return ""
