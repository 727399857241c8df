"""A trial as a run in MLflow: what it is called, and the parameters and tags it is found by.

`config` is the trial's whole configuration, defaults written out; it is the run's `config.json`.
Parameters are what the sweep varies and nothing else, each under its path in the sweep file; a
toggle is True or False. So the search box and `mlflow.search_runs` take what the file says:

    params.`tricks.ema` = 'True' AND tags.`sweeper.role` = 'search'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sweeper.sweepfile.model import Sweep
from sweeper.tracking.names import DATA_TAG, SEPARATOR
from sweeper.trial import Trial
from sweeper.wording import short_path

Role = Literal["sweep", "base", "search", "confirmation", "cell"]
"""What a run is to its sweep: the tag `sweeper.role`. A confirmation repeats another trial's
configuration on a fresh seed; a cell is one run of an ablation."""

_LONGEST_NAME = 120


def role_of(trial: Trial, sweep: Sweep) -> Role:
    """What the trial's run is to its sweep."""
    if sweep.is_ablation:
        return "cell"
    return "confirmation" if trial.role == "replicate" else trial.role


def run_name(trial: Trial, sweep: Sweep, config: Mapping[str, Any]) -> str:
    """`00012 · without ema · seed 3`, `00008 · confirms 00004 · seed 1001`, or with what a search
    has drawn that a word can tell: `00004 · hinge · ema, spectral_norm · seed 1`."""
    role = role_of(trial, sweep)
    if role == "cell":
        told = [trial.cell or ""]
    elif role == "confirmation":
        told = [f"confirms {trial.of:05d}"]
    elif role == "base":
        told = ["base"]
    else:
        told = _drawn(trial.values)
    seed = config.get("seed")
    told.append("" if seed is None else f"seed {seed}")
    name = SEPARATOR.join(filter(None, (trial.name, *told)))
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def parameters_of(trial: Trial, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the sweep varies, by its path in the file, and the seed, on which every value hangs."""
    seed = config.get("seed")
    return dict(trial.values) if seed is None else {**trial.values, "seed": seed}


def tags_of(trial: Trial, sweep: Sweep, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the run is found by beside its parameters; None where it does not apply."""
    data, seed = config.get("data"), config.get("seed")
    return {
        "sweeper.role": role_of(trial, sweep),
        "sweeper.tricks": ",".join(_tricks(config)),
        "sweeper.of": None if trial.of is None else f"{trial.of:05d}",
        "sweeper.cell": trial.cell,
        "sweeper.seed": seed,
        "sweeper.design": sweep.ablation and sweep.ablation.part.key,
        "sweeper.took_over": trial.took_over or None,
        DATA_TAG: data.get("path") if isinstance(data, Mapping) else None,
    }


def end_tags_of(trial: Trial) -> dict[str, Any]:
    """What the run of a trial that has ended is found by besides; None where it does not apply."""
    return {"sweeper.symptom": trial.cause, "sweeper.took_over": trial.took_over or None}


def _drawn(values: Mapping[str, Any]) -> list[str]:
    """What of a drawn configuration can be told in a word: its choices, then what is switched on.

    Numbers are left to the columns."""
    words = [value for value in values.values() if isinstance(value, str)]
    toggles = {path: value for path, value in values.items() if isinstance(value, bool)}
    on = sorted(short_path(path) for path, value in toggles.items() if value)
    return [*words, ", ".join(on) if on else "all off" if toggles else ""]


def _tricks(config: Mapping[str, Any]) -> list[str]:
    """Names of the tricks that a configuration has on."""
    given = config.get("tricks") or {}
    return sorted(name for name, knobs in given.items() if knobs is not False and knobs is not None)
