"""Search GAN training with Optuna on Ray Tune, record it in MLflow, prove the result.

    import sweeper

    result = sweeper.run("search_spaces/quickstart.yaml")  # or a dict of what stands in a file
    result.frame            # one row a trial, a pandas DataFrame
    result.best             # the winner: by fresh seeds, where any were run
    result.report           # the HTML page

`trials.train` trains one GAN without any sweep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.api import SweepResult, run
    from sweeper.sweepfile.load import load_sweep

__all__ = ["SweepResult", "load_sweep", "run"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `sweeper ls` must not wait for what only `run` needs.
    if name == "load_sweep":
        from sweeper.sweepfile.load import load_sweep

        return load_sweep
    if name in ("run", "SweepResult"):
        import importlib

        return getattr(importlib.import_module("sweeper.api"), name)
    raise AttributeError(f"module 'sweeper' has no attribute {name!r}")
