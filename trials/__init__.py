"""A GAN trainer whose every trick is a switch.

    import trials

    config = trials.load_config({"data": "digits", "tricks": {"ema": True}})
    result = trials.train(config, folder="trained/digits")

Knows nothing of sweeps: it reads a `trials.config.TrialConfig`, trains, measures,
watches its own health and saves itself exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trials.config import load_config
    from trials.trainer import train

__all__ = ["load_config", "train"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: with them comes torch, which a listing of parts does without.
    if name == "load_config":
        from trials.config import load_config

        return load_config
    if name == "train":
        from trials.trainer import train

        return train
    raise AttributeError(f"module 'trials' has no attribute {name!r}")
