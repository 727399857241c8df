"""Who may run how much: what must hold of every arrangement, and what each rule gives."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.service.queue.arrange import Lease, arrange
from sweeper.service.queue.asking import (
    Asking,
    Machine,
    Needs,
    Person,
    Quotas,
    Totals,
    recent_use,
)
from sweeper.service.queue.reasons import (
    Impossible,
    Moving,
    NoMachines,
    Own,
    Quota,
    Taken,
    ToCome,
    Turn,
)

NEEDS = [Needs(*pair) for pair in [(1, 0), (3, 0), (1, 0.5), (1, 0.25), (2, 1), (0, 1), (4, 2)]]
NAMES = ("ada", "ben", "cleo")

machines = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 4), st.integers(0, 3), st.sampled_from([0, 0.5])),
    max_size=3,
).map(
    lambda sizes: [
        Machine(f"m{i}", cpu, gpu, max(0, cpu - others), max(0, gpu - part))
        for i, (cpu, gpu, others, part) in enumerate(sizes)
    ]
)
to_come = st.lists(st.sampled_from([(1, 0), (4, 1), (8, 4)]), max_size=3).map(
    lambda sizes: [Machine.all_ours(f"c{i}", *size, to_come=True) for i, size in enumerate(sizes)]
)
quotas = st.builds(
    Quotas,
    parallel=st.none() | st.integers(0, 4),
    gpus=st.none() | st.sampled_from([0.5, 1.0, 2.0]),
    gpu_hours=st.none() | st.just(10.0),
)
people = st.tuples(
    *(
        st.builds(
            Person,
            name=st.just(name),
            weight=st.sampled_from([0.5, 1.0, 3.0]),
            quotas=quotas,
            recent=st.floats(0, 4000),
            month=st.sampled_from([0.0, 9.9, 10.0]),
        )
        for name in NAMES
    )
)


@st.composite
def asked(draw: st.DrawFn) -> list[Asking]:
    sweeps = []
    for number in range(draw(st.integers(0, 8))):
        holds = draw(st.integers(0, 3))
        here = draw(st.integers(0, holds))
        sweeps.append(
            Asking(
                f"s{number}",
                f"sweep {number}",
                draw(st.sampled_from(NAMES)),
                draw(st.sampled_from(NEEDS)),
                draw(st.integers(0, 6)),
                draw(st.floats(0, 100)),
                draw(st.sampled_from(["low", "normal", "high", "urgent"])),
                holds,
                {f"m{draw(st.integers(0, 3))}": here} if here else {},
                draw(st.none() | st.floats(0, 1000)),
                draw(st.none() | st.floats(1, 100)),
            )
        )
    return sweeps


def _can_run(there: list[Machine], trials: list[Needs]) -> bool:
    """Whether all of these fit at once, each on one machine: tried in every way, exactly."""
    rooms = []
    for machine in there:
        whole, part = divmod(Fraction(machine.free_gpu), 1)
        gpus = tuple(sorted([Fraction(1)] * int(whole) + ([part] if part else [])))
        rooms.append((Fraction(machine.free_cpu), gpus))
    wanted = sorted(trials, key=lambda needs: (-needs.gpu, -needs.cpu))
    dead: set[tuple[int, tuple[object, ...]]] = set()

    def fits(at: int, rooms: tuple[tuple[Fraction, tuple[Fraction, ...]], ...]) -> bool:
        if at == len(wanted):
            return True
        if (at, tuple(sorted(rooms))) in dead:
            return False
        cpu, gpu = Fraction(wanted[at].cpu), Fraction(wanted[at].gpu)
        for i, (cpus, gpus) in enumerate(rooms):
            if cpus < cpu:
                continue
            ways: set[tuple[Fraction, ...]] = set()
            if gpu >= 1:
                if gpus.count(Fraction(1)) >= gpu:
                    left = list(gpus)
                    for _ in range(int(gpu)):
                        left.remove(Fraction(1))
                    ways.add(tuple(left))
            elif gpu:
                for one in {g for g in gpus if g >= gpu}:
                    left = list(gpus)
                    left.remove(one)
                    ways.add(tuple(sorted([*left, one - gpu])))
            else:
                ways.add(gpus)
            for way in ways:
                if fits(at + 1, (*rooms[:i], (cpus - cpu, way), *rooms[i + 1 :])):
                    return True
        dead.add((at, tuple(sorted(rooms))))
        return False

    return fits(0, tuple(rooms))


def _trials(leases: dict[str, Lease], sweeps: list[Asking]) -> list[Needs]:
    return [sweep.needs for sweep in sweeps for _ in range(leases[sweep.sweep].parallel)]


@given(machines, to_come, people, asked())
def test_what_is_granted_fits_is_wanted_and_allowed(there, coming, people, sweeps) -> None:
    there = [*there, *coming]
    leases = arrange(there, people, sweeps)
    assert leases.keys() == {sweep.sweep for sweep in sweeps}
    for sweep in sweeps:
        assert 0 <= leases[sweep.sweep].parallel <= sweep.wants
    assert _can_run(there, _trials(leases, sweeps))
    for person in people:
        mine = [sweep for sweep in sweeps if sweep.person == person.name]
        trials, limits = _trials(leases, mine), person.quotas
        gpus = sum(needs.gpu for needs in trials)
        assert limits.parallel is None or len(trials) <= limits.parallel
        assert limits.gpus is None or gpus <= limits.gpus
        assert limits.gpu_hours is None or person.month < limits.gpu_hours or not gpus


@given(machines, people, asked())
def test_no_room_is_left_to_whom_may_have_it_and_whoever_has_less_is_told_why(
    there, people, sweeps
) -> None:
    nowhere = [replace(sweep, where={}) for sweep in sweeps]  # nobody has to move
    leases = arrange(there, people, nowhere)
    granted = _trials(leases, nowhere)
    for sweep in nowhere:
        lease = leases[sweep.sweep]
        if lease.parallel == sweep.wants:
            assert lease.reason is None
            continue
        assert lease.reason is not None
        assert lease.reason.words().endswith(".")
        assert (lease.before is not None) == isinstance(lease.reason, Turn | Own)
        if isinstance(lease.reason, Turn | Own | Taken):
            # The exact search may repack the others; where only this one is asked for, none can.
            alone = [sweep.needs] if not granted else None
            assert alone is None or not _can_run(there, alone)
    lonely = [sweep for sweep in nowhere if isinstance(leases[sweep.sweep].reason, Turn | Own)]
    if len({sweep.needs for sweep in sweeps}) == 1 and lonely:
        assert not _can_run(there, [*granted, lonely[0].needs])


@given(machines, to_come, people, asked(), st.randoms(use_true_random=False))
def test_the_same_question_in_another_order_has_the_same_answer(
    there, coming, people, sweeps, random
) -> None:
    there = [*there, *coming]
    first = arrange(there, people, sweeps)
    mixed = [list(there), list(people), list(sweeps)]
    for part in mixed:
        random.shuffle(part)
    assert arrange(*mixed) == first


@given(machines, to_come, asked())
def test_nobody_waits_for_a_machine_who_finds_room_on_one_that_is_there(
    there, coming, sweeps
) -> None:
    begin = [replace(sweep, where={}, holds=0) for sweep in sweeps]
    leases = arrange([*there, *coming], map(Person, NAMES), begin)
    reasons = {sweep: lease.reason for sweep, lease in leases.items()}
    waits = {sweep: r.trials if isinstance(r, ToCome) else 0 for sweep, r in reasons.items()}
    here = [
        one.needs for one in begin for _ in range(leases[one.sweep].parallel - waits[one.sweep])
    ]
    assert _can_run(there, here)
    if len({one.needs for one in begin}) == 1 and any(waits.values()):
        assert not _can_run(there, [*here, begin[0].needs])


@given(
    st.integers(1, 12),
    st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.floats(0, 2000), st.integers(0, 12)),
        min_size=2,
        max_size=5,
    ),
    st.sampled_from([1.5, 2.0, 10.0]),
)
def test_more_weight_never_gives_less(gpus, rows, factor) -> None:
    there = [Machine.all_ours("box", 64, gpus)]
    people = [Person(f"p{i}", weight, recent=recent) for i, (weight, recent, _) in enumerate(rows)]
    sweeps = [
        Asking(f"s{i}", f"s{i}", f"p{i}", Needs(1, 1), wants, 0.0)
        for i, (_, _, wants) in enumerate(rows)
    ]
    before = arrange(there, people, sweeps)["s0"].parallel
    heavier = [replace(people[0], weight=people[0].weight * factor), *people[1:]]
    assert arrange(there, heavier, sweeps)["s0"].parallel >= before


def _ask(sweep: str, person: str = "ada", wants: int = 10, gpu: float = 1, **more) -> Asking:
    more.setdefault("since", 0.0)
    return Asking(sweep, sweep, person, more.pop("needs", Needs(1, gpu)), wants, **more)


def _parallel(leases: dict[str, Lease]) -> dict[str, int]:
    return {sweep: lease.parallel for sweep, lease in leases.items()}


ADA, BEN = Person("ada"), Person("ben")
BOX = [Machine.all_ours("box", 16, 4)]
LAPTOP = [Machine.all_ours("laptop", 2)]


def test_people_share_by_weight_and_not_by_how_many_sweeps_they_have() -> None:
    sweeps = [_ask("one", "ben"), *(_ask(f"a{i}", since=i) for i in range(5))]
    assert _parallel(arrange(BOX, [ADA, BEN], sweeps))["one"] == 2
    heavier = arrange(BOX, [ADA, replace(BEN, weight=3)], sweeps)
    assert _parallel(heavier)["one"] == 3


def test_use_fades_by_half_in_an_hour() -> None:
    totals = Totals(16, 4)
    now = 10 * 3600
    just_now = recent_use({now: (0.0, 40.0)}, now + 60, totals)
    assert just_now == pytest.approx(10, rel=0.01)  # a quarter of the cluster for 40 s
    earlier = recent_use({now: (0.0, 40.0)}, now + 60 + 3600, totals)
    later = recent_use({now: (0.0, 40.0)}, now + 60 + 2 * 3600, totals)
    assert later == pytest.approx(earlier / 2, rel=0.03)
    assert recent_use({}, now, totals) == 0.0
    full = {hour * 3600: (0.0, 4 * 3600.0) for hour in range(240)}
    hours = recent_use(full, 240 * 3600, totals) / 3600
    assert hours == pytest.approx(1 / math.log(2))  # all that a cluster can be used of late


def test_who_has_used_less_is_first() -> None:
    used = [replace(ADA, recent=600.0), BEN]
    leases = arrange(BOX, used, [_ask("a"), _ask("b", "ben")])
    assert _parallel(leases) == {"a": 0, "b": 4}
    assert leases["a"].reason == Turn("ben", 1)
    leases = arrange(BOX, used, [_ask("a"), _ask("b", "ben", wants=4)])
    assert leases["a"].reason == Turn("ada", 0)


def test_halves_share_a_gpu_and_no_trial_has_halves_of_two() -> None:
    there = [Machine.all_ours("box", 16, 2)]
    assert _parallel(arrange(there, [ADA], [_ask("half", gpu=0.5)]))["half"] == 4
    # Thirds leave a third of each GPU, of which no half can be made.
    sweeps = [_ask("third", gpu=0.34, wants=4, priority="high"), _ask("half", gpu=0.5)]
    assert _parallel(arrange(there, [ADA], sweeps)) == {"third": 4, "half": 0}
    sweeps = [_ask("half", gpu=0.5, wants=2, priority="high"), _ask("whole")]
    assert _parallel(arrange(there, [ADA], sweeps)) == {"half": 2, "whole": 1}
    thirds = arrange([Machine.all_ours("box", 16, 1)], [ADA], [_ask("third", gpu=1 / 3)])
    assert _parallel(thirds)["third"] == 3


def test_without_gpus_people_share_the_cpus() -> None:
    sweeps = [_ask("a", gpu=0), _ask("b", "ben", gpu=0)]
    assert _parallel(arrange(LAPTOP, [ADA, BEN], sweeps)) == {"a": 1, "b": 1}
    sweeps = [_ask("a", needs=Needs(2, 0)), _ask("b", "ben", gpu=0)]
    turns = [
        _parallel(arrange(LAPTOP, [replace(ADA, recent=used), BEN], sweeps)) for used in (0.0, 1.0)
    ]
    assert turns == [{"a": 1, "b": 0}, {"a": 0, "b": 2}]


def test_own_sweeps_go_by_priority_and_then_by_age() -> None:
    sweeps = [
        _ask("young", wants=3, since=9.0),
        _ask("old", wants=3, since=1.0),
        _ask("high", wants=3, since=20.0, priority="high"),
    ]
    leases = arrange(BOX, [ADA], sweeps)
    assert _parallel(leases) == {"high": 3, "old": 1, "young": 0}
    assert leases["young"].reason == Own("ada", "old")


def test_a_trial_at_work_is_not_stopped_for_a_difference_of_seconds() -> None:
    box = [Machine.all_ours("box", 4, 1)]
    sweeps = [_ask("a", holds=1), _ask("b", "ben")]
    for used, whose in ((30.0, "a"), (61.0, "b")):
        leases = _parallel(arrange(box, [replace(ADA, recent=used), BEN], sweeps))
        assert leases == {"a": 0, "b": 0} | {whose: 1}


def test_urgency_goes_before_others_within_the_own_share_and_no_further() -> None:
    used = [replace(ADA, recent=3000.0), BEN]
    sweeps = [_ask("a"), _ask("b", "ben", holds=4)]
    assert _parallel(arrange(BOX, used, sweeps)) == {"a": 0, "b": 4}
    urgent = [replace(sweeps[0], priority="urgent"), sweeps[1]]
    assert _parallel(arrange(BOX, used, urgent)) == {"a": 2, "b": 2}
    # Where the own share is less than one trial, only what others hold no longer counts.
    box = [Machine.all_ours("box", 4, 1)]
    assert _parallel(arrange(box, used, urgent)) == {"a": 0, "b": 1}
    even = [replace(ADA, recent=30.0), replace(BEN, recent=31.0)]
    assert _parallel(arrange(box, even, urgent)) == {"a": 1, "b": 0}


def test_what_does_not_fit_lets_smaller_ones_past_and_is_first_when_room_comes() -> None:
    there = [Machine.all_ours("a", 4, 0), Machine.all_ours("b", 4, 0)]
    wide, small = _ask("wide", needs=Needs(3, 0)), _ask("small", "ben", needs=Needs(1, 0))
    leases = _parallel(arrange(there, [ADA, replace(BEN, recent=900.0)], [wide, small]))
    assert leases == {"wide": 2, "small": 2}


def test_a_trial_in_the_way_moves_to_where_it_fits_as_well() -> None:
    """On two machines of 4 CPUs, two of Ben's trials keep a wide one from both."""
    there = [Machine.all_ours("a", 4, 0), Machine.all_ours("b", 4, 0)]
    wide = _ask("wide", needs=Needs(4, 0), wants=1)
    small = _ask("small", "ben", needs=Needs(1, 0), wants=4, holds=2, where={"a": 1, "b": 1})
    people = [ADA, replace(BEN, recent=900.0)]
    leases = arrange(there, people, [wide, small])
    assert _parallel(leases) == {"wide": 1, "small": 1}
    assert "another machine" in leases["small"].reason.words()
    moved = replace(small, holds=1, where={"b": 1})
    assert _parallel(arrange(there, people, [wide, moved])) == {"wide": 1, "small": 4}


def test_quotas_hold_and_are_told() -> None:
    for limits, month, gpu, granted, words in (
        (Quotas(parallel=3), 0.0, 1, 3, "ada's quota of 3 trials at once leaves no room"),
        (Quotas(gpus=1.0), 0.0, 0.5, 2, "ada's quota of 1 GPU at once leaves no room"),
        (Quotas(gpus=0.5), 0.0, 1, 0, "ada's quota of 0.5 GPUs at once is less than one trial"),
        (Quotas(gpu_hours=10), 10.5, 1, 0, "ada has used 10.5 GPU hours this month, of a quota"),
        (Quotas(gpu_hours=10), 10.5, 0, 10, ""),
    ):
        person = replace(ADA, quotas=limits, month=month)
        lease = arrange(BOX, [person], [_ask("a", gpu=gpu)])["a"]
        assert lease.parallel == granted
        assert isinstance(lease.reason, Quota) == bool(words)
        assert not words or lease.reason.words().startswith(words)


def test_what_can_never_run_says_what_is_missing() -> None:
    def reason(there: list[Machine], needs: Needs) -> object:
        return arrange(there, [ADA], [_ask("a", needs=needs)])["a"].reason

    assert reason([], Needs(1, 0)) == NoMachines()
    assert reason(BOX, Needs(99, 1)) == Impossible(Needs(99, 1), "CPU", 16)
    two = [Machine.all_ours("fat", 16, 0), Machine.all_ours("gpus", 2, 4)]
    told = {
        Needs(1, 8): "A trial needs 8 GPUs, and no machine of the cluster has more than 4.",
        Needs(8, 1): "A trial needs 8 CPUs and 1 GPU, and no machine of the cluster has both.",
    }
    assert {needs: reason(two, needs).words() for needs in told} == told
    assert "no machine of the cluster has any" in reason(LAPTOP, Needs(1, 0.5)).words()
    busy = [replace(BOX[0], free_gpu=0.0)]
    assert reason(busy, Needs(1, 1)) == Taken()


def test_a_machine_comes_for_a_lease_and_where_none_comes_those_there_are_shared() -> None:
    coming = Machine.all_ours("c", 2, to_come=True)
    leases = arrange([Machine.all_ours("head", 0), coming], [ADA], [_ask("a", gpu=0, wants=3)])
    assert (leases["a"].parallel, leases["a"].reason) == (2, ToCome(2))
    told = "2 trials wait for machines to come, which Ray's autoscaler adds."
    assert leases["a"].reason.words() == told
    gpus = [Machine.all_ours(f"g{i}", 1, 1, to_come=True) for i in range(4)]
    each = [_ask(name[0], name, needs=Needs(0, 1), wants=4) for name in ("ada", "ben")]
    assert _parallel(arrange([*LAPTOP, *gpus], [ADA, BEN], each)) == {"a": 2, "b": 2}
    a = _ask("a", gpu=0, wants=2, holds=2, where={"laptop": 2})
    b = _ask("b", "ben", gpu=0, wants=2)
    people = [replace(ADA, recent=900.0), BEN]
    makes_room = arrange([*LAPTOP, coming], people, [a, b])
    assert makes_room == {"a": Lease(0, Moving(2)), "b": Lease(2)}
    made = arrange([*LAPTOP, coming], people, [replace(a, holds=0, where={}), b])
    assert made == {"a": Lease(2, ToCome(2)), "b": Lease(2)}
    wide = arrange([*LAPTOP, coming], [ADA], [_ask("wide", needs=Needs(4, 0))])["wide"]
    assert wide.reason == Impossible(Needs(4, 0), "CPU", 2)


def test_the_line_says_whose_turn_it_is_and_how_many_are_before() -> None:
    cleo = Person("cleo", recent=50.0)
    people = [replace(ADA, recent=900.0), replace(BEN, recent=10.0), cleo]
    sweeps = [_ask("a"), _ask("b", "ben"), _ask("c", "cleo")]
    box = [Machine.all_ours("box", 4, 1)]
    leases = arrange(box, people, sweeps)
    assert _parallel(leases) == {"a": 0, "b": 1, "c": 0}
    assert leases["c"].reason.words() == "It is next: it goes on where room comes free."
    assert leases["a"].reason == Turn("cleo", 2)  # Ben, who has one now, comes before Ada again
    assert leases["a"].reason.words() == "It is cleo's turn; 2 sweeps are before it."


def test_when_a_turn_comes_is_told_where_forecasts_tell_it() -> None:
    box = [Machine.all_ours("box", 4, 1)]
    runs = _ask("runs", wants=1, holds=1, forecast=1200.0, since=0.0)
    second = _ask("second", wants=1, forecast=300.0, since=1.0)
    third = _ask("third", wants=1, since=2.0)
    leases = arrange(box, [ADA], [runs, second, third])
    assert [leases[s].starts_in for s in ("runs", "second", "third")] == [None, 1200.0, 1500.0]
    unknown = arrange(box, [ADA], [replace(runs, forecast=None), second])
    assert unknown["second"].starts_in is None
    # Ben's turn comes when Ada has used 60 s more than he, and her trial is at an evaluation.
    others = [replace(runs, interval=20.0), _ask("b", "ben")]
    assert arrange(box, [ADA, BEN], others)["b"].starts_in == pytest.approx(80.0)
