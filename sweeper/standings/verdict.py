"""Whether a search has beaten its base configuration, in one sentence for every reader.

    confirmed: trial 00007 beats the base configuration, fid −2.1 [−3.0, −1.2] on 5 fresh seeds

Terminal, page, MLflow and `result` all say this one. `sweeper.standings.against_base` has the
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sweeper.standings.against_base import (
    AgainstBase,
    Difference,
    against_base,
    front_against_base,
)
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
_EACH = {
    "better": "confirmed",
    "worse": "worse",
    "unclear": "not confirmed",
    "untested": "not confirmed",
}
"""What is said of each of two objectives."""
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
    ending += f" ({plain(base.cause)})" if base.cause else ""
    return f"not confirmed: the base configuration {ending}, so there is nothing to compare with"


def _told(found: AgainstBase, standings: Standings, called: Called) -> str:
    if len(standings.goals) > 1:
        words = _of_the_front(found, standings, called)
    elif found.won_by_base:
        has = _has(found, standings, called, comma=",")
        words = f"nothing beat the base configuration: the next best, {has}"
    else:
        said = _SAID[found.differences[0].verdict].format(_name(found))
        words = f"{said}, {_measured(found, standings, called)}"
    if found.base_failed:
        words += f"; {found.base_failed} of the base's runs on fresh seeds failed"
    return f"{words}; more are to come" if found.running else words


def _of_the_front(found: AgainstBase, standings: Standings, called: Called) -> str:
    """No objective decides alone: whoever lies on the front is told by both."""
    if found.won_by_base:
        alone = "nothing beat the base configuration in the search: it is alone on the Pareto front"
        return f"{alone}; against it the next best, {_has(found, standings, called, comma=',')}"
    count = plural(len(standings.winners), "trial")
    base = f"one of {count} on the Pareto front"
    if not found.base_on_front:
        base = f"not on the Pareto front, which has {count}"
    told = "; ".join(_has(one, standings, called) for one in front_against_base(standings))
    return f"the base configuration is {base}; against it {told}"


def _has(found: AgainstBase, standings: Standings, called: Called, comma: str = "") -> str:
    return f"{_name(found)}{comma} has {_measured(found, standings, called)}"


def _measured(found: AgainstBase, standings: Standings, called: Called) -> str:
    """`fid −2.1 [−3.0, −1.2] on 5 fresh seeds`, and what is missing; of two objectives what each
    says."""
    several = len(standings.goals) > 1
    shown = ", ".join(
        f"{called(one.metric)} {_gained(one)}" + (f" ({_EACH[one.verdict]})" if several else "")
        for one in found.differences
    )
    words = f"{shown} {_where(found, standings)}{_lacking(found, standings)}"
    if found.differences[0].seeds and found.trial.took_over:
        words += "; on them its last settings were trained from the first step"
        if found.trial.has_others_weights:
            words += ", without the weights that it took over"
    return words + (f"; {found.failed} of its runs on fresh seeds failed" if found.failed else "")


def _gained(one: Difference) -> str:
    """The difference; in words where a bare 0 would read as a value."""
    return "equal to the base's" if one.difference == 0 and one.low is None else one.shown


def _name(found: AgainstBase) -> str:
    return f"trial {found.trial.name}"


def _where(found: AgainstBase, standings: Standings) -> str:
    seeds = found.differences[0].seeds
    if seeds:
        return f"on {plural(seeds, 'fresh seed')}"
    return "in the search, " + ("over its seeds" if standings.on_seeds else "one run each")


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
