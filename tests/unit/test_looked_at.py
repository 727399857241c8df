"""Of a long search a proposal of TPE looks at the best trials, those that run, and a choice."""

from __future__ import annotations

import math

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.search.each_once import EachOnce
from sweeper.search.looked_at import MOST, LookedAt


def trial(
    number: int, *values: float, state: TrialState = TrialState.COMPLETE, last: float | None = None
) -> FrozenTrial:
    made = create_trial(
        state=state,
        values=list(values) if values else None,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values={} if last is None else {10: last},
    )
    made.number = number
    return made


def scattered(count: int) -> list[FrozenTrial]:
    """Completed trials whose values are 0, 1, … in no order."""
    return [trial(number, float(number * 7919 % count)) for number in range(count)]


def test_a_short_search_is_looked_at_as_it_is() -> None:
    trials = scattered(MOST)
    assert LookedAt([1]).of(trials) is trials


@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_long_one_the_best_and_those_that_run_are_never_left_out(sign: int) -> None:
    trials = scattered(4000)
    trials[1234] = trial(1234, state=TrialState.RUNNING)
    seen = LookedAt([sign]).of(trials)
    assert len(seen) == MOST + 1
    assert trials[1234] in seen
    numbers = [one.number for one in seen]
    assert numbers == sorted(set(numbers))
    over = [one for one in trials if one.state == TrialState.COMPLETE]
    best = sorted(over, key=lambda one: sign * one.values[0])[:25]
    assert {one.number for one in best} <= set(numbers)
    # The others stand for the whole search: as many of each quarter.
    others = [number for number in numbers if number not in {one.number for one in best}]
    quarters = [sum(1000 * q <= number < 1000 * (q + 1) for number in others) for q in range(4)]
    assert max(quarters) - min(quarters) <= 5, quarters


def test_what_was_pruned_is_good_only_where_too_few_completed() -> None:
    pruned = [trial(n, state=TrialState.PRUNED, last=float(n)) for n in range(10, 600)]
    silent = [trial(n, state=TrialState.PRUNED) for n in range(600, 605)]
    broken = [trial(605, state=TrialState.PRUNED, last=math.nan)]
    completed = [trial(n, 1000.0) for n in range(10)]
    seen = {one.number for one in LookedAt([1], most=100).of([*completed, *pruned, *silent])}
    assert set(range(10)) <= seen  # ten is a tenth of what is looked at
    seen = {one.number for one in LookedAt([1], most=100).of([*broken, *silent, *pruned])}
    assert set(range(10, 20)) <= seen


def test_of_two_objectives_the_undominated_ones_are_looked_at() -> None:
    dominated = [trial(n, 10.0 + n % 13, 10.0 + n % 7) for n in range(900)]
    front = [trial(900 + n, float(n), float(7 - n)) for n in range(8)]
    seen = LookedAt([1, 1], most=100).of([*dominated, *front])
    assert {one.number for one in front} <= {one.number for one in seen}
    assert len(seen) == 100
    flat = [trial(n, float(n), float(-n)) for n in range(900)]  # nothing dominates anything
    numbers = [one.number for one in LookedAt([1, 1], most=100).of(flat)]
    assert len(numbers) == 100
    assert numbers[0] < 20 < 880 < numbers[-1]


def test_each_item_is_made_once_until_it_is_another_object() -> None:
    made: list[str] = []

    def shout(word: str) -> str:
        made.append(word)
        return word.upper()

    words = EachOnce(shout)
    first = ["a", "b"]
    assert words.of(first) == ["A", "B"]
    assert words.of([*first, "c"]) == ["A", "B", "C"]
    assert made == ["a", "b", "c"]
    other = "".join(["b", "b"])
    assert words.of(["a", other]) == ["A", "BB"]
    assert words.of(["a", other, "c"]) == ["A", "BB", "C"]
    assert made == ["a", "b", "c", "bb", "c"]
