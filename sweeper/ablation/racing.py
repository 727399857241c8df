"""The race of a search's best configurations on fresh seeds, read off the trials' records.

The run loop asks it what to run next, `sweeper status` and the report what has been decided; all
three look at the same race, since it follows from the records alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sweeper.ablation.blame import INNOCENT
from sweeper.ablation.confirmation import SCREEN, Confirmation, confirm
from sweeper.ablation.design import canonical
from sweeper.trial import Trial


def best_first(records: Sequence[Trial], goals: Sequence[str]) -> list[Trial]:
    """Completed trials of the search from the best on.

    With two objectives: by how many others dominate a trial, then by the first objective.
    """
    signs = [1 if goal == "minimize" else -1 for goal in goals]
    complete = [one for one in records if one.state == "completed" and one.role != "replicate"]
    losses = {
        one.number: tuple(
            sign * value for sign, value in zip(signs, one.objective or (), strict=True)
        )
        for one in complete
    }

    def rank(one: Trial) -> tuple[Any, ...]:
        mine = losses[one.number]
        better = 0
        if len(signs) > 1:
            better = sum(
                other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
                for other in losses.values()
            )
        return better, mine[0], one.number

    return sorted(complete, key=rank)


def contenders(records: Sequence[Trial], goals: Sequence[str], top: int) -> list[Trial]:
    """The `top` best configurations, each as its best trial: seeds do not make two of one."""
    chosen: dict[str, Trial] = {}
    for one in best_first(records, goals):
        if len(chosen) == top:
            break
        chosen.setdefault(apart_from_seed(one.config), one)
    return list(chosen.values())


def race(
    records: Sequence[Trial],
    goals: Sequence[str],
    top: int,
    seeds: Sequence[int],
    *,
    screen: int = SCREEN,
    without: Collection[int] = (),
) -> Confirmation:
    """Where the race of the `top` best stands; its keys are names of trials.

    A replicate that failed, or was stopped, is an outcome; one whose worker died is none. With two
    objectives nobody is given up: there is no one value by which to win. `seeds` are all rounds'
    seeds, `screen` of which everybody gets, and `without` those of rounds that cannot be held now.
    """
    chosen = contenders(records, goals, top)
    outcomes: dict[int, dict[int, float | None]] = {one.number: {} for one in chosen}
    for one in records:
        over = one.state in ("completed", "pruned", "failed") and one.symptom not in INNOCENT
        if one.role == "replicate" and over and one.of in outcomes:
            value = one.objective[0] if one.state == "completed" and one.objective else None
            outcomes[one.of][one.config["seed"]] = value
    return confirm(
        {one.name: outcomes[one.number] for one in chosen},
        [seed for seed in seeds if seed not in without],
        "maximize" if goals[0] == "maximize" else "minimize",
        screen=screen,
        adaptive=len(goals) == 1,
    )


def apart_from_seed(config: Mapping[str, Any]) -> str:
    """What configurations have in common that differ by nothing but their seed."""
    return canonical({key: value for key, value in config.items() if key != "seed"})
