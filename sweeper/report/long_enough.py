"""Was the search long enough? One sentence, and how it was judged (docs/statistics.md)."""

from __future__ import annotations

from sweeper.ablation.search_statistics import LastHalf
from sweeper.report.markup import text
from sweeper.standings import Standings
from sweeper.standings.luck import ENOUGH_FOR_HALVES, last_half_of
from sweeper.wording import measure, number


def long_enough(standings: Standings) -> str:
    """The answer as a paragraph; empty where the question has no sense: of an ablation, of two
    objectives, before any trial is over."""
    over = sum(trial.over for trial in standings.search)
    if standings.sweep.is_ablation or len(standings.goals) > 1 or not over:
        return ""
    halves = last_half_of(standings)
    if halves is None:
        return (
            f"<p>Too few trials to tell: at least {ENOUGH_FOR_HALVES} must be over, half of them "
            "with a final value.</p>\n"
        )
    return f"<p>{text(_answer(halves, standings))}</p>\n"


def _answer(halves: LastHalf, standings: Standings) -> str:
    """Whether what the later half gained is more than what another seed would change."""
    metric, gain = measure(standings.metrics[0]), number(halves.gain)
    later = f"the later {halves.trials - halves.half} of {halves.trials} trials"
    if halves.gain == 0:
        return f"Probably: {later} gained nothing."
    noise = standings.noise
    if noise is None:
        return (
            f"It is unclear: {later} improved the best {metric} by {gain}, and the seed noise of "
            "one configuration is unknown. Set seeds: {confirm_top: 1} to measure it."
        )
    luck = f"seed noise, a standard deviation of {number(noise.noise_deviation)}"
    if halves.gain <= noise.noise_deviation:
        return f"Probably: {later} improved the best {metric} by {gain}, no more than {luck}."
    return (
        f"Probably not: {later} still improved the best {metric} by {gain}, more than {luck}; "
        "raise limits.trials and run the file again to go on."
    )
