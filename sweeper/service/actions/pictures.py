"""Pictures that trials leave in their folders."""

from __future__ import annotations

from pathlib import Path

from sweeper.home import SweepFolder
from sweeper.trial import Trial


def samples_at(folder: SweepFolder, trial: Trial, step: int) -> Path | None:
    """The file of a trial's samples of one step; None where there is none. What the study says of
    its place is believed only as far as that lies in the trial's folder."""
    named = next((one.samples for one in trial.evaluations if one.step == step), None)
    if not named:
        return None
    home = folder.trial(trial.number).resolve()
    picture = (home / named).resolve()
    return picture if picture.is_relative_to(home) and picture.is_file() else None
