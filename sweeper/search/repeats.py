"""Points that a search has tried: the same point on the same seed gives the same training again.

A sampler draws with replacement. In a space of few points it soon proposes one that the search has
had; that is drawn again. A model that has found where the good ones are insists: then its proposal
is followed as far as that goes, with one parameter drawn anew, and where all of those have been
had, a point is drawn from what is left. Only where nothing is, and `limits.trials` asks for more
trials than there are points, does a search repeat itself, which `validate` tells before. What
somebody enqueues is asked for, and is never kept back; `search.repeat` has a sampler's repeats
trained too. So has population based training, whose trials do not stay what they were asked as.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from sweeper.search.sampler import Turn, independent, mix
from sweeper.search.stopping_rule import StoppingRule
from sweeper.sweepfile.domains import Parameter, canonical
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Choose, Draw, count_points, grid_points, walk

REDRAWS = 4
"""Proposals that are asked for in place of one that repeats a point."""

BESIDE = 32
"""Points beside such a proposal that are looked at before any other, and then points of chance."""

AT_HAND = 100
"""Where chance has found none, the first so many that are left are what one is drawn from: each
point that is looked at is checked whole."""


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
        seed = mix(asked.search_seed, "again", again)
        asked = replace(asked, search_seed=seed, again=again)
        draw = propose(asked)
    if draw is None or canonical(draw.values) not in turn.tried:
        return draw, asked
    asked = replace(asked)  # without what a sampler has noted of its own
    untried = _beside(first[0], sweep, asked) or _left(sweep, asked)
    return first if untried is None else (untried, asked)


def _beside(proposed: Draw | None, sweep: Sweep, turn: Turn) -> Draw | None:
    """An untried point that is the proposal with one of its parameters drawn anew, and with what
    that one switches on; None where none was found."""
    values = {} if proposed is None else proposed.values
    for place in range(BESIDE if values else 0):
        near = replace(turn, search_seed=mix(turn.search_seed, "beside", place))
        anew = list(values)[near.seed("anew") % len(values)]
        fresh = independent(near)

        def choose(parameter: Parameter, anew: str = anew, fresh: Choose = fresh) -> Any:
            drawn = fresh(parameter)  # also where it is not needed: the rest is the same then
            kept = parameter.path != anew and parameter.path in values
            return values[parameter.path] if kept else drawn

        draw = walk(sweep, choose)
        if canonical(draw.values) not in turn.tried:
            return draw
    return None


def _left(sweep: Sweep, turn: Turn) -> Draw | None:
    """One of the points that are left, by chance; None where none is, or they have no end."""
    for place in range(BESIDE):
        seed = mix(turn.search_seed, "left", place)
        draw = walk(sweep, independent(replace(turn, search_seed=seed)))
        if canonical(draw.values) not in turn.tried:
            return draw
    try:
        points = (one for one in grid_points(sweep) if canonical(one.values) not in turn.tried)
        left = list(islice(points, AT_HAND))
    except ValueError:  # a range without steps
        return None
    return left[turn.seed("left") % len(left)] if left else None


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
        f"the space has {points:,} points and limits.trials is {limit:,}: the trials beyond that "
        "repeat points on the same seed, with the same result"
    )
