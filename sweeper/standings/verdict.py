"""Whether a search has beaten its base configuration, in one sentence for every reader.

    confirmed: trial 00007 beats the base configuration, fid −2.1 [−3.0, −1.2] on 5 fresh seeds

Terminal, page, MLflow and `result` all say this one. `sweeper.standings.against_base` has the
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sweeper.standings.against_base import AgainstBase, against_base
from sweeper.standings.ranking import apart_from_seed
from sweeper.wording import plain, plural

if TYPE_CHECKING:
    from sweeper.standings.standings import Standings

Called = Callable[[str], str]
"""What a reader calls a measure."""

_SAID = {
    "better": "confirmed: {} beats the base configuration",
    "worse": "not confirmed: {} is worse than the base configuration",
    "unclear": "not confirmed: {} may be no better than the base configuration",
    "untested": "not confirmed: {} against the base configuration",
}
_ENDED = {"pruned": "was stopped", "failed": "failed", "completed": "was measured otherwise"}


def verdict_in_words(standings: Standings, called: Called = str) -> str:
    """The sentence; empty for an ablation, before anything has completed, and without a base."""
    best, base = standings.best, standings.base
    if best is None or base is None or standings.sweep.is_ablation:
        return ""
    found = against_base(standings)
    if found is not None:
        return _told(found, standings, called)
    if apart_from_seed(best.trial.config) == apart_from_seed(base.config):
        return "nothing else has completed that the base configuration could be compared with"
    if not base.over:
        return ""
    ending = _ENDED.get(base.state, base.state)
    ending += f" ({plain(base.symptom)})" if base.symptom else ""
    return f"not confirmed: the base configuration {ending}, so there is nothing to compare with"


def _told(found: AgainstBase, standings: Standings, called: Called) -> str:
    name, (first, *further) = f"trial {found.trial.name}", found.differences
    shown = f"{called(first.metric)} {first.shown}"
    where = f"on {plural(first.seeds, 'fresh seed')}"
    if not first.seeds:
        where = "in the search, " + ("over its seeds" if standings.on_seeds else "one run each")
    if found.won_by_base:
        words = f"nothing beat the base configuration: the next best, {name}, has {shown} {where}"
    elif further:
        shown = ", ".join(
            f"{called(one.metric)} {one.shown} "
            f"({'confirmed' if one.verdict == 'better' else 'not confirmed'})"
            for one in found.differences
        )
        words = (
            f"{name}, the first on the Pareto front, against the base configuration: {shown} "
            f"{where}"
        )
    else:
        words = f"{_SAID[first.verdict].format(name)}, {shown} {where}"
    words += _lacking(found, standings)
    for failed, whose in ((found.failed, "its"), (found.base_failed, "the base's")):
        words += f"; {failed} of {whose} runs on fresh seeds failed" if failed else ""
    return f"{words}; more are to come" if found.running else words


def _lacking(found: AgainstBase, standings: Standings) -> str:
    """Why there is no interval, where there is none."""
    seeds = found.differences[0].seeds
    if seeds == 1:
        return "; an interval needs two"
    if seeds > 1:
        return ""
    if standings.replicates:
        return "; no fresh seed has values of both"
    return "; nothing was run on fresh seeds"
