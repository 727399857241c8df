"""Which configurations are confirmed, and on which seeds."""

from __future__ import annotations

from dataclasses import replace

from sweeper.search.confirming import best_first, replicate_seeds, replicates_due
from sweeper.search.records import TrialRecord
from sweeper.spec.domains import Parameter, Values
from sweeper.spec.model import Sweep
from sweeper.spec.sections import Objective, Seeds

SWEEP = Sweep(
    name="probe",
    base={},
    parameters=(Parameter("x", Values((1, 2, 3, 4))), Parameter("seed", Values((0, 1001)))),
    seeds=Seeds(confirm_top=2, replicates=3),
)


def record(number: int, x: int, seed: int, value: float | None, **fields: object) -> TrialRecord:
    state = "failed" if value is None else "completed"
    objective = None if value is None else (value,)
    config = {"x": x, "seed": seed}
    return TrialRecord(number, state, config=config, objective=objective, **fields)


SEARCH = [
    record(0, 1, 0, 5.0, role="base"),
    record(1, 2, 0, 1.0),
    record(2, 2, 1001, 2.0),
    record(3, 3, 0, 3.0),
    record(4, 4, 0, None),
]


def test_replicates_get_seeds_that_the_search_cannot_have_used():
    assert replicate_seeds(SWEEP) == [1000, 1002, 1003]


def test_a_configuration_found_with_several_seeds_is_confirmed_once():
    due = replicates_due(SEARCH, SWEEP)
    assert due == [(1, 1000), (3, 1000), (1, 1002), (3, 1002), (1, 1003), (3, 1003)]


def test_only_what_is_missing_is_due():
    done = [
        record(5, 2, 1000, 1.5, role="replicate", of=1),
        record(6, 3, 1000, None, role="replicate", of=3, symptom="divergence"),
        record(7, 2, 1002, None, role="replicate", of=1, symptom="worker_died"),
    ]
    due = replicates_due([*SEARCH, *done], SWEEP)
    assert due == [(1, 1002), (3, 1002), (1, 1003), (3, 1003)]


def test_with_two_objectives_what_nobody_dominates_comes_first():
    two = replace(SWEEP, objective=(Objective(metric="fid"), Objective(metric="kid")))
    points = [(1.0, 9.0), (2.0, 2.0), (3.0, 3.0), (9.0, 1.0)]
    records = [
        TrialRecord(number, "completed", objective=point) for number, point in enumerate(points)
    ]
    assert [one.number for one in best_first(records, two)] == [0, 1, 3, 2]
