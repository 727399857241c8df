"""What readers find among the attributes of a study, without anything of Optuna's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweeper.trial import FinalScore, Trial

FINAL = "final:"
PROTOCOL = "protocol"
BUDGET = "budget"
OWNER = "owner"

UNMARKED = "unmarked"
"""With the number of entries that the study had before there were marks."""


def finals(study: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Final scores by the numbers of their trials, from the study's attributes."""
    return {
        int(key.removeprefix(FINAL)): final
        for key, final in study.items()
        if key.startswith(FINAL) and final
    }


def with_finals(trials: Sequence[Trial], study: Mapping[str, Any]) -> list[Trial]:
    """The trials, those that have won with their final scores."""
    scores = {number: FinalScore(**final) for number, final in finals(study).items()}
    if not scores:
        return list(trials)
    return [
        replace(trial, final=scores[trial.number]) if trial.number in scores else trial
        for trial in trials
    ]
