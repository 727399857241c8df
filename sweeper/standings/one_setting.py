"""Which trials are of one setting from their first step to their last, and which are not.

Under population based training a trial that takes another one's weights over comes to a value that
several settings have made: neither those that it began with nor those that it ended with.
"""

from __future__ import annotations

from sweeper.standings.standings import Standings
from sweeper.trial import Trial
from sweeper.wording import plural


def of_one_setting(standings: Standings) -> list[Trial]:
    """The finished trials whose value says something of their setting, and of no other."""
    return [trial for trial in standings.finished if not trial.donors]


def left_out(standings: Standings) -> str:
    """How many finished trials importances do not look at, and why; empty for none."""
    count = len(standings.finished) - len(of_one_setting(standings))
    if not count:
        return ""
    verb = "is" if count == 1 else "are"
    return (
        f"{plural(count, 'trial')} {verb} left out, having taken another one's weights over: the "
        "value is of several settings"
    )
