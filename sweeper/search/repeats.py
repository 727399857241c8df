"""Points that a search has tried: the same point on the same seed gives the same training again.

A sampler draws with replacement. In a space of few points it soon proposes one that the search has
had; that is drawn again, and where chance does not find a further one, the first that is left is
taken. Only where none is left, and `limits.trials` asks for more trials than there are points, does
a search repeat itself, which `validate` tells before. What somebody enqueues is asked for, and is
never kept back; `search.repeat` has a sampler's repeats trained too. So has population based
training, whose trials do not stay what they were asked as.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sweeper.search.sampler import Turn, independent, mix
from sweeper.search.stopping_rule import StoppingRule
from sweeper.sweepfile.domains import Parameter, canonical
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, count_points, grid_points, walk

REDRAWS = 4
"""Proposals that are asked for in place of one that repeats a point."""


def avoids_repeats(sweep: Sweep) -> bool:
    """Whether a point is tried once before any is tried twice."""
    if sweep.is_ablation or sweep.search.part.ends or sweep.search.repeat:
        return False
    return StoppingRule.of(sweep).milestones is None


def propose_once(
    propose: Callable[[Turn], Draw | None], sweep: Sweep, turn: Turn
) -> tuple[Draw | None, Turn]:
    """A proposal that repeats no point, as long as one is left, and the turn that it was made in.

    The same study gives the same proposal, whatever was asked before.
    """
    first = propose(turn), turn
    if not avoids_repeats(sweep):
        return first
    draw, asked = first
    for again in range(1, REDRAWS + 1):
        if draw is None or canonical(draw.values) not in turn.tried:
            return draw, asked
        asked = replace(asked, search_seed=mix(asked.search_seed, "again", again))
        draw = propose(asked)
    asked = replace(asked)  # without what a sampler has noted of its own
    try:
        left = (point for point in grid_points(sweep) if canonical(point.values) not in turn.tried)
        point = next(left, None)
    except ValueError:  # a range without steps has no end of points
        return _beside(first[0], sweep, asked), asked
    return first if point is None else (point, asked)


def _beside(proposed: Draw | None, sweep: Sweep, turn: Turn) -> Draw:
    """The proposal with one of its ranges drawn anew: a sampler that insists on a point is followed
    as far as that goes."""
    values = {} if proposed is None else proposed.values
    endless = [
        parameter.path
        for parameter in sweep.parameters
        if parameter.path in values and parameter.domain.size() is None
    ]
    anew = endless[turn.seed("beside") % len(endless)] if endless else ""
    fresh = independent(turn)

    def choose(parameter: Parameter) -> Any:
        drawn = fresh(parameter)  # also where it is not needed: the rest is the same then
        kept = endless and parameter.path != anew and parameter.path in values
        return values[parameter.path] if kept else drawn

    return walk(sweep, choose)


def repeats_in_words(sweep: Sweep) -> str:
    """That a search will repeat points, for want of others; empty where it will not."""
    limit = sweep.limits.trials
    if limit is None or not avoids_repeats(sweep):
        return ""
    try:
        points = count_points(sweep, limit)
    except ValueError:
        return ""
    if points >= limit:
        return ""
    return (
        f"the space has {points:,} points and limits.trials is {limit:,}: what is beyond repeats "
        "points on the same seed, to the same end"
    )
