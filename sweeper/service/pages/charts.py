"""What the charts of a sweep's page are drawn of, as plain numbers."""

from __future__ import annotations

import math
from typing import Any

from sweeper.report.lines import LEVELS, MANY, by_step, lines_of, quantiles
from sweeper.report.scales import scale_of
from sweeper.standings import Standings
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.wording import STATE_WORDS, better, measure, setting, short_path

ROWS = 5000
"""Trials in the parallel coordinates."""


def over_steps(standings: Standings, objective: int = 0) -> dict[str, Any]:
    """The objective over training steps: a line a trial, or bands where there are many.

    `steps` is the axis that all lines share; a value is null where a trial has none.
    """
    lines = lines_of(standings, objective)
    best = standings.best
    emphasised = {
        "best": best.trial.number if best else None,
        "base": standings.base.number if standings.base else None,
    }
    shown = lines
    bands: dict[str, Any] | None = None
    if len(lines) > MANY:
        steps_of_bands, values = by_step(lines)
        levels = quantiles(values).tolist()
        alive = [len(at_step) for at_step in values]
        bands = {"steps": steps_of_bands, "levels": levels, "at": LEVELS, "alive": alive}
        shown = [line for line in lines if line.trial.number in emphasised.values()]
    steps = sorted({step for line in shown for step in line.steps})
    won = [line.values[-1] for line in lines if line.trial.number == emphasised["best"]]
    scale = scale_of((value for line in lines for value in line.values), keep=won)
    return {
        "metric": measure(standings.metrics[objective]),
        "better": better(standings.goals[objective]),
        "scale": scale._asdict() if scale else None,
        "steps": steps,
        "lines": [
            {
                "trial": line.trial.number,
                "name": line.trial.name,
                "state": line.trial.state,
                "words": STATE_WORDS.get(line.trial.state, line.trial.state),
                "values": _aligned(steps, dict(zip(line.steps, line.values, strict=True))),
            }
            for line in shown
        ],
        "bands": bands,
        **emphasised,
    }


def coordinates(standings: Standings) -> dict[str, Any]:
    """Every searched parameter and the final objective, for parallel coordinates.

    A row holds a trial's place on each axis between 0 and 1, null where it has none, and the axes
    say what stands where.
    """
    trials = standings.finished[:ROWS]
    parameters = [p for p in standings.sweep.parameters if p.path != "seed"]
    axes = [_axis(parameter, standings) for parameter in parameters]
    scores = [standings.scores[trial.number] for trial in trials]
    scale = scale_of(scores)
    if scale is None:
        return {"axes": [], "rows": []}
    of_metric = {
        "name": measure(standings.metrics[0]),
        "low": scale.low,
        "high": scale.high,
        "log": scale.log,
        "values": None,
    }
    rows = [
        {
            "trial": trial.number,
            "at": [
                *(
                    _place(axis, trial.values.get(parameter.path))
                    for axis, parameter in zip(axes, parameters, strict=True)
                ),
                _place(of_metric, score),
            ],
            "value": score,
        }
        for trial, score in zip(trials, scores, strict=True)
    ]
    return {"axes": [*axes, of_metric], "rows": rows, "goal": standings.goal}


def _axis(parameter: Parameter, standings: Standings) -> dict[str, Any]:
    domain = parameter.domain
    axis: dict[str, Any] = {"name": short_path(parameter.path), "values": None}
    if isinstance(domain, Range):
        return axis | {"low": domain.low, "high": domain.high, "log": domain.log}
    values = {setting(value): None for value in domain.points()}
    for trial in standings.finished:
        if parameter.path in trial.values:
            values[setting(trial.values[parameter.path])] = None
    return axis | {"values": list(values)}


def _place(axis: dict[str, Any], value: Any) -> float | None:
    """Where a value stands on an axis, from 0 to 1."""
    if value is None:
        return None
    if axis["values"] is not None:
        values: list[str] = axis["values"]
        if setting(value) not in values:
            return None
        return (values.index(setting(value)) + 0.5) / len(values)
    low, high, at = float(axis["low"]), float(axis["high"]), float(value)
    if axis["log"]:
        low, high, at = math.log(low), math.log(high), math.log(max(at, 1e-300))
    return round(min(max((at - low) / ((high - low) or 1.0), 0.0), 1.0), 4)


def _aligned(steps: list[int], curve: dict[int, float]) -> list[float | None]:
    return [curve.get(step) for step in steps]
