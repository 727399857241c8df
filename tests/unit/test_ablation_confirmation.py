"""Racing replicates: the winner stays, the hopeless stop, restarts change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.ablation.confirmation import SCREEN, Confirmation, confirm, look_level

Outcomes = dict[str, dict[int, float | None]]


def race(values: np.ndarray, **options: object) -> tuple[Confirmation, int]:
    """Run the race on (configurations, seeds) values; NaN is a failure. Also the runs it took."""
    outcomes: Outcomes = {f"c{index}": {} for index in range(len(values))}
    seeds = range(values.shape[1])
    while (state := confirm(outcomes, seeds, **options)).needed:  # type: ignore[arg-type]
        for key, seed in state.needed:
            value = float(values[int(key[1:]), seed])
            outcomes[key][seed] = None if np.isnan(value) else value
    return state, sum(map(len, outcomes.values()))


@pytest.mark.parametrize("screen", [2, SCREEN, 5])
def test_a_hopeless_configuration_stops_after_the_first_look_and_says_why(screen: int) -> None:
    rng = np.random.default_rng(0)
    values = 0.1 * rng.normal(size=(3, 8)) + np.array([[0.0], [0.05], [50.0]])
    state, runs = race(values, screen=screen)
    assert [one.key for one in state.given_up] == ["c2"]
    assert state.given_up[0].round == screen
    assert "worse than c" in state.given_up[0].reason
    assert runs == 8 + 8 + screen
    assert state.ranking[-1] == "c2"


def test_without_adaptation_everything_is_asked_for_at_once_and_nobody_is_given_up() -> None:
    state = confirm({"c0": {}, "c1": {}}, [4, 5], adaptive=False)
    assert state.needed == (("c0", 4), ("c1", 4), ("c0", 5), ("c1", 5))
    values = np.array([[0.0] * 5, [9.0] * 5])
    state, runs = race(values, adaptive=False)
    assert state.given_up == ()
    assert runs == 10


@pytest.mark.parametrize("noise", ["normal", "exponential"])
def test_the_best_configuration_is_given_up_less_often_than_alpha(noise: str) -> None:
    rng = np.random.default_rng(1)
    studies, lost = 400, 0
    for _ in range(studies):
        # All alike: any of them may be called the best, so each is at risk.
        values = getattr(rng, noise)(size=(3, 6)) + rng.normal(size=6)
        lost += "c0" not in race(values)[0].racing
    # Bonferroni's bound is 5%; 400 studies at that rate stay below 8.3% at three standard errors.
    assert lost / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


@given(
    values=st.lists(
        st.lists(st.floats(-5, 5) | st.none(), min_size=6, max_size=6), min_size=2, max_size=4
    ),
    cut=st.integers(0, 24),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_a_killed_and_resumed_race_ends_as_the_uninterrupted_one(
    values: list[list[float | None]], cut: int, order: object
) -> None:
    """Replicates arrive in any order, and the race is dropped and replayed at any point."""
    keys = [f"c{index}" for index in range(len(values))]
    seeds = range(6)

    def play(shuffled: bool, stop: int | None) -> tuple[Outcomes, Confirmation]:
        outcomes: Outcomes = {key: {} for key in keys}
        done = 0
        while (state := confirm(outcomes, seeds)).needed:
            batch = list(state.needed)
            if shuffled:
                order.shuffle(batch)  # type: ignore[attr-defined]
            for key, seed in batch:
                outcomes[key][seed] = values[keys.index(key)][seed]
                done += 1
                if stop is not None and done == stop:
                    outcomes = {key: dict(found) for key, found in outcomes.items()}
                    break
        return outcomes, state

    assert play(False, None) == play(True, cut)


def test_more_replicates_later_ask_only_for_what_is_missing() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 8))
    done: Outcomes = {
        f"c{row}": {seed: float(values[row, seed]) for seed in range(4)} for row in range(2)
    }
    state = confirm(done, range(8))
    assert state.rounds == 4
    assert set(state.needed) == {("c0", 4), ("c1", 4)}


def test_a_failure_counts_as_the_worst_value_and_never_helps() -> None:
    values = np.array([[1.0, 1.1, 0.9, 1.0, 1.0], [0.9, np.nan, np.nan, 1.0, 0.95]])
    state, _ = race(values)
    assert state.ranking[0] == "c0"


def test_higher_is_better_when_the_goal_says_so() -> None:
    rng = np.random.default_rng(3)
    values = 0.1 * rng.normal(size=(2, 6)) + np.array([[0.0], [9.0]])
    state, _ = race(values, goal="maximize")
    assert state.ranking == ("c1", "c0")
    assert [one.key for one in state.given_up] == ["c0"]


def test_the_level_of_one_meeting_shares_alpha_over_opponents_and_looks() -> None:
    assert look_level(0.05, configurations=3, replicates=5) == pytest.approx(0.05 / (2 * 2))
    assert look_level(0.05, configurations=2, replicates=2) == pytest.approx(0.05)


def test_values_that_differ_by_rounding_alone_give_nobody_up() -> None:
    outcomes = {"a": dict.fromkeys(range(3), 1.0), "b": dict.fromkeys(range(3), 1.0 + 2**-52)}
    assert confirm(outcomes, range(5)).given_up == ()
