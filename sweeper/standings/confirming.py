"""The race of a search's best configurations on fresh seeds, read off the trials.

After the search, the best configurations run again on fresh seeds, the same for each of them, so
that they can be compared in pairs. A configuration that can no longer win gets no more of them
(`sweeper.ablation.confirmation` has the rule). The base configuration is one of them, and gets
every seed: it is what the winner is measured against, and may win. Its seeds are known before the
best are, so that workers run them which would wait for the search's last trials. Whoever has begun
stays in the race, also when the search goes on and finds others: a lucky value of theirs takes no
place from one that has been confirmed. What is due follows from the trials alone: a sweep that was
killed in the middle of it goes on with what is missing, and decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from sweeper.standings.cells import by_mean
from sweeper.standings.ranking import apart_from_seed, configurations
from sweeper.sweepfile.seeding import replicate_seeds

if TYPE_CHECKING:
    from sweeper.ablation.confirmation import Confirmation
    from sweeper.standings.standings import Standings
    from sweeper.trial import Trial


def race(standings: Standings, *, without: Collection[int] = ()) -> Confirmation | None:
    """Where the race stands; its keys are names of trials. None where nothing is confirmed.

    A replicate that failed is an outcome; one whose worker died is none. With two objectives no
    configuration is given up: there is no one value by which to win. `without` are seeds of rounds
    that cannot be held now.
    """
    seeds = standings.sweep.seeds
    if not seeds.confirm_top or standings.sweep.is_ablation:
        return None
    from sweeper.ablation.confirmation import confirm  # NumPy, for which no listing waits

    base = _confirmed_base(standings)
    return confirm(
        {one.name: standings.replicates.get(one.number, {}) for one in contenders(standings)},
        [seed for seed in replicate_seeds(standings.sweep) if seed not in without],
        standings.goal,
        screen=seeds.screen,
        adaptive=len(standings.goals) == 1,
        kept=base.name if base is not None else None,
    )


def contenders(standings: Standings) -> list[Trial]:
    """Whoever is in the race, in the order of the search: its `confirm_top` best configurations,
    those that have begun, and the base. None where nothing is confirmed."""
    top = standings.sweep.seeds.confirm_top
    if not top or standings.sweep.is_ablation:
        return []
    begun = [one for one in standings.as_searched if one.number in standings.replicates]
    known = {apart_from_seed(one.config) for one in begun}
    best = configurations(standings.as_searched, top)
    chosen = [*begun, *(one for one in best if apart_from_seed(one.config) not in known)]
    numbers = {one.number for one in chosen}
    ordered = [one for one in standings.as_searched if one.number in numbers]
    base = _confirmed_base(standings)
    return ordered if base is None else _with_base(ordered, base)


def _confirmed_base(standings: Standings) -> Trial | None:
    """The base's trial where it is confirmed too, and has a value that can be."""
    base = standings.base if standings.sweep.confirms_base else None
    return base if base is not None and base.number in standings.scores else None


def _with_base(contenders: Sequence[Trial], base: Trial) -> list[Trial]:
    """The base in the place of whichever has its configuration, else behind them all."""
    same = apart_from_seed(base.config)
    own = [base if apart_from_seed(one.config) == same else one for one in contenders]
    return own if base in own else [*own, base]


def by_fresh_seeds(standings: Standings) -> list[int]:
    """The numbers of those that ran on fresh seeds, from the best on.

    First whoever has as many of them as any beside the base, by its mean over the seeds that all
    of these have. Whoever still gets seeds and has half as many is put in before the first of them
    that it beats on the seeds of both: one that has just begun takes the lead from nobody by a
    single run, and changes nothing between others. Then the rest of these, then those given up,
    the last to go first.
    """
    held, runs = standings.race, standings.replicates
    ran = [one.number for one in standings.as_searched if one.number in runs]
    base = _confirmed_base(standings)
    if base is not None and ran == [base.number] and len(contenders(standings)) > 1:
        return []  # its seeds run before the best is known, and alone say nothing of it
    going = {int(name) for name, _ in held.needed} if held is not None else set()
    most = max((len(runs[one]) for one in ran if base is None or one != base.number), default=0)
    order = _by_paired_means(standings, [one for one in ran if len(runs[one]) >= most])
    fewer = sorted((one for one in ran if one not in order), key=lambda one: -len(runs[one]))
    for number in [one for one in fewer if one in going and 2 * len(runs[one]) >= most]:
        ahead = (place for place, one in enumerate(order) if _beats(standings, number, one))
        order.insert(next(ahead, len(order)), number)
    begun = [one for one in fewer if one in going and one not in order]
    order += _by_paired_means(standings, begun)
    return [*order, *(one for one in fewer if one not in order)]


def _beats(standings: Standings, one: int, other: int) -> bool:
    """Whether the first of these is better on the seeds that both have."""
    return _by_paired_means(standings, [other, one])[0] == one


def _by_paired_means(standings: Standings, numbers: Sequence[int]) -> list[int]:
    """From the best on, by the means over the seeds that all have; over its own where there is none
    such."""
    rows = [standings.replicates[number] for number in numbers]
    shared = set.intersection(*map(set, rows)) if rows else set()
    paired = [{seed: row[seed] for seed in row if seed in shared} for row in rows]
    return [numbers[row] for row in by_mean(paired if shared else rows, standings.goal)]


def most_replicates(standings: Standings, trials: int | None) -> int:
    """Runs on fresh seeds that there may be, those that have been among them, where the search has
    so many trials (None: nothing limits them): whoever has begun stays in the race beside those
    who come to be the best."""
    sweep = standings.sweep
    chosen = sweep.confirmed(trials)
    if not chosen:
        return 0
    if trials is None or sum(trial.over for trial in standings.search) < trials:
        base = _confirmed_base(standings)
        of_others = standings.replicates.keys() - ({base.number} if base is not None else set())
        most = chosen + len(of_others)
    else:
        most = max(chosen, len(contenders(standings)))
    return (most if trials is None else min(most, trials)) * sweep.seeds.replicates


def replicates_due(standings: Standings, *, without: Collection[int] = ()) -> list[tuple[int, int]]:
    """(trial to repeat, seed) of every replicate to start once the search is over, in order.

    Seed by seed, so that whenever it ends all configurations have been tried equally often. A
    replicate that is running is not due, and what may follow it is not known until it has ended.
    `without` are seeds to leave aside for now.
    """
    held = race(standings, without=without)
    needed = [(int(name), seed) for name, seed in held.needed] if held is not None else []
    return _not_at_work(standings, needed)


def base_replicates_due(
    standings: Standings, *, without: Collection[int] = ()
) -> list[tuple[int, int]]:
    """(the base's trial, seed) of every replicate that may start while the search still runs, in
    order: it gets every seed, whatever the best will be. `without` are seeds to leave aside."""
    base = _confirmed_base(standings)
    if base is None:
        return []
    run = standings.replicates.get(base.number, {})
    seeds = (seed for seed in replicate_seeds(standings.sweep) if seed not in {*run, *without})
    return _not_at_work(standings, [(base.number, seed) for seed in seeds])


def _not_at_work(standings: Standings, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    at_work = {
        (trial.of, trial.config.get("seed"))
        for trial in standings.trials
        if trial.role == "replicate" and not trial.over
    }
    return [pair for pair in pairs if pair not in at_work]


def rounds_of(standings: Standings, ended_by: Callable[[str | None], bool]) -> set[int]:
    """Seeds of rounds in which a replicate has ended by such a cause and has no outcome."""
    return {
        int(trial.config["seed"])
        for trial in standings.trials
        if trial.role == "replicate"
        and trial.over
        and ended_by(trial.cause)
        and trial.config["seed"] not in standings.replicates.get(trial.of or 0, {})
    }
