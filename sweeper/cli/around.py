"""The ablation that `sweeper ablate NAME` runs: what a sweep's trial owes to each of its tricks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.home import Home

if TYPE_CHECKING:
    from sweeper.sweepfile.model import Sweep


def around_trial(name: str, source: str, overrides: list[str], home: Home) -> Sweep:
    """The leave-one-out study around a trial of a sweep: `source` is `best`, or its number.

    Raises:
        UserError: there is no such trial, or none to leave anything out of.
    """
    from sweeper.results import read_standings
    from sweeper.sweepfile import parse_sweep
    from trials.config import load_config

    standings = read_standings(home.existing(name))
    sweep, trials = standings.sweep, standings.trials
    if source == "best":
        chosen = standings.best.trial if standings.best else None
    elif source.isascii() and source.isdigit():
        chosen = next((trial for trial in trials if trial.number == int(source)), None)
        if chosen is None:
            raise UserError(f"{name} has no trial {source}")
    else:
        raise UserError(f"--from {source}: expected best, or the number of a trial")
    if chosen is None:
        raise UserError(f"{name} has no completed trial to start from")
    config = load_config(chosen.config)
    if not config.tricks:
        raise UserError(f"trial {chosen.number} of {name} has no trick on that could be left out")
    base = {key: value for key, value in config.as_dict().items() if key != "device"}
    mapping = {
        "name": f"{name}-ablation",
        "description": f"Tricks of trial {chosen.number} of {name}, one left out at a time.",
        "base": base,
        "parameters": {f"tricks.{trick}": {"toggle": True} for trick in config.tricks},
        "objective": [objective.model_dump() for objective in sweep.objective],
        "limits": {"parallel": sweep.limits.parallel},
        "resources": sweep.resources.model_dump(),
        "ablation": {"design": "leave_one_out"},
    }
    return parse_sweep(json.dumps(mapping), f"{name}, trial {chosen.number}", overrides)
