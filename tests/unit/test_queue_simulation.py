"""A lab of fifty people for hours: what the arrangement makes of it in the long run."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sweeper.service.queue.asking import Machine, Needs, Person
from tests.cluster_simulation import Simulation, Sweep

HOUR = 3600.0
LATE = HOUR / 2


def _lab(
    seed: int, kinds: Sequence[Needs], hours: float
) -> tuple[list[Machine], list[Person], list[Sweep]]:
    """A thousand sweeps of fifty people, each with work for `hours` of their share of 112 GPUs. One
    in five comes half an hour late."""
    chance = random.Random(seed)
    machines = [Machine.all_ours(f"m{i:02}", 64, 8) for i in range(14)]
    people = [Person(f"p{i:02}", float(chance.choice([1, 2, 3, 4]))) for i in range(50)]
    unit = 112 / sum(person.weight for person in people)
    sweeps = []
    for i, person in enumerate(people):
        arrives = LATE if i % 5 == 0 else 0.0
        work = unit * person.weight * (hours * HOUR - arrives) / 20
        for j in range(20):
            needs, interval = chance.choice(kinds), chance.choice([60.0, 120.0])
            evaluations = chance.choice([2, 3, 5])
            trials = max(1, round(work / (evaluations * interval * needs.gpu)))
            parallel = chance.choice([2, 4, 8, 16])
            name = f"s{i:02}-{j:02}"
            sweeps.append(
                Sweep(
                    *(name, person.name, needs, trials, parallel, evaluations, interval),
                    arrives=arrives + j / 1000,
                )
            )
    return machines, people, sweeps


def _promised(people: Sequence[Person], sweeps: Sequence[Sweep]) -> dict[str, float]:
    """When each sweep has started at the latest: the own work before it has had the person's share
    of 112 GPUs, and there are 10 % and 15 minutes to spare."""
    unit = 112 / sum(person.weight for person in people)
    latest = {}
    for person in people:
        before = 0.0
        for sweep in (sweep for sweep in sweeps if sweep.person == person.name):
            latest[sweep.name] = sweep.arrives + 1.1 * before / (unit * person.weight) + 900
            before += sweep.work
    return latest


def _run_lab(seed: int, kinds: Sequence[Needs], hours: float, look: float) -> None:
    machines, people, sweeps = _lab(seed, kinds, hours)
    promised = _promised(people, sweeps)
    simulation = Simulation(machines, people, sweeps, look=look, seed=seed)
    begins, ends = HOUR, 0.75 * hours * HOUR
    while not simulation.over():
        assert simulation.now < 1.5 * hours * HOUR, "sweeps starve"
        if simulation.now == 0.4 * hours * HOUR:
            simulation.vanish("m03")
            simulation.vanish("m11")
        if simulation.now == 0.4 * hours * HOUR + 1200:
            simulation.come_back("m03")
            simulation.come_back("m11")
        if simulation.now == begins:
            before = dict(simulation.used)
        if simulation.now == ends:
            hungry = {sweep.person for sweep in sweeps if sweep.trials}
            assert len(hungry) == len(people)
            had = {name: used - before[name] for name, used in simulation.used.items()}
        simulation.step()
    late = {s.name: s.started for s in sweeps if s.started is None or s.started > promised[s.name]}
    assert not late
    weights, all_had = sum(person.weight for person in people), sum(had.values())
    for person in people:
        share = had[person.name] / all_had
        assert share == pytest.approx(person.weight / weights, rel=0.05)
    # Where needs differ, a trial that makes room for another leaves some until it has moved.
    assert simulation.idle <= (0.0 if len(kinds) == 1 else 0.005 * 112 * simulation.now)


def test_a_lab_has_shares_as_its_weights_and_nobody_starves() -> None:
    _run_lab(0, [Needs(1, 1)], hours=3, look=60.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "kinds", [[Needs(1, 1)], [Needs(1, 1), Needs(2, 0.5), Needs(8, 1)]], ids=["alike", "mixed"]
)
def test_a_lab_has_shares_as_its_weights_for_longer_and_with_mixed_needs(
    seed: int, kinds: list[Needs]
) -> None:
    _run_lab(seed, kinds, hours=6, look=30.0)


def test_a_laptop_is_shared_by_three_people_in_turns() -> None:
    """Two CPUs, three people: each has his part within minutes, the wide sweep too."""
    sweeps = [
        Sweep("wide", "ada", Needs(2, 0), 20, 2, interval=30.0),
        Sweep("narrow", "ben", Needs(1, 0), 40, 2, interval=30.0),
        Sweep("other", "cleo", Needs(1, 0), 40, 2, interval=30.0),
    ]
    people = [Person("ada"), Person("ben"), Person("cleo")]
    simulation = Simulation([Machine.all_ours("laptop", 2)], people, sweeps, look=10.0)
    while simulation.now < 1500:
        simulation.step()
    assert all(sweep.started is not None and sweep.started < 120 for sweep in sweeps)
    had = dict(simulation.used)
    assert all(seconds == pytest.approx(500, rel=0.2) for seconds in had.values())
    while not simulation.over():
        assert simulation.now < 6500
        simulation.step()


@pytest.mark.parametrize("comes", [True, False])
def test_a_cluster_that_grows_is_shared_whether_or_not_machines_come(comes: bool) -> None:
    """One machine of two CPUs, and four more that may come. Where they come, they go again; where
    the cloud has none, the one that there is has the same shares."""
    coming = [Machine.all_ours(f"c{i}", 2, to_come=True) for i in range(4)]
    sweeps = [
        Sweep("one", "ada", Needs(1, 0), 60, 6, interval=30.0),
        Sweep("other", "ben", Needs(1, 0), 60, 6, interval=30.0, arrives=60.0),
    ]
    people = [Person("ada"), Person("ben", weight=3.0)]
    machines = [Machine.all_ours("there", 2), *coming]
    simulation = Simulation(machines, people, sweeps, look=10.0, comes=comes)
    while simulation.now < 1000:
        simulation.step()
    both = sum(simulation.used.values())
    assert simulation.used["ben"] / both == pytest.approx(0.6 if comes else 0.75, abs=0.07)
    there = set(simulation.machines) - simulation.gone
    assert there == (set(simulation.machines) if comes else {"there"})
    while not simulation.over():
        assert simulation.now < 7000
        simulation.step()
    while simulation.now < 8000 and comes:
        simulation.step()
    assert set(simulation.machines) - simulation.gone == {"there"}


@pytest.mark.parametrize(("cpus", "weight"), [(2, 3.0), (4, 1.0), (6, 1.0)])
def test_machines_that_never_come_have_no_more_trials_make_room(cpus: int, weight: float) -> None:
    """Two people who each want all of one machine: it changes hands no oftener than by itself."""
    there = Machine.all_ours("there", cpus)
    coming = [Machine.all_ours(f"c{i}", 4, to_come=True) for i in range(8)]
    stops = []
    for machines in [there], [there, *coming]:
        sweeps = [
            Sweep("one", "ada", Needs(1, 0), 100, 60, evaluations=500, interval=30.0),
            Sweep("other", "ben", Needs(1, 0), 100, 60, 500, interval=30.0, arrives=60.0),
        ]
        people = [Person("ada"), Person("ben", weight)]
        simulation = Simulation(machines, people, sweeps, look=10.0, comes=False)
        while simulation.now < HOUR / 2:
            simulation.step()
        both = sum(simulation.used.values())
        assert simulation.used["ben"] / both == pytest.approx(weight / (1 + weight), abs=0.05)
        stops.append(simulation.stops)
    assert 0 < stops[1] <= 1.1 * stops[0], stops
