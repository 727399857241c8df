"""Winners whose final score is still to be measured, as far as can be told without asking anybody:
what a listing says of a sweep that nobody drives."""

from __future__ import annotations

from collections.abc import Iterable

from sweeper.home import SweepFolder
from sweeper.standings import Standings
from sweeper.standings.kept import to_be_scored
from sweeper.trial import trial_name
from trials.state.names import GENERATOR


def unscored(folder: SweepFolder, standings: Standings) -> list[int]:
    """The numbers of winners without a final score that have kept a generator; of trials that
    publish in a bucket, by what was last known of it."""
    winners = (trial.number for trial in to_be_scored(standings))
    return [number for number in winners if _has_generator(folder, number)]


def in_words(numbers: Iterable[int]) -> str:
    """That these have no final score yet; empty where there is none."""
    names = ", ".join(map(trial_name, numbers))
    return f"the final score of trial {names} is not measured yet" if names else ""


def _has_generator(folder: SweepFolder, number: int) -> bool:
    trial = folder.trial(number)
    if not folder.bucket.exists():
        return (trial / GENERATOR).exists()
    from sweeper.bucket.copies import published_in  # only those with a bucket need what it imports

    return GENERATOR in published_in(trial)
