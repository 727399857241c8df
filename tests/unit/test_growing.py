"""Machines that may yet join a cluster: as they are said, and what follows for a driver."""

from __future__ import annotations

import pytest

from sweeper.errors import UserError
from sweeper.scheduling.cluster.growing import MOST, growth_asked_for
from sweeper.sweepfile.resources import Given

SMALL, LARGE = Given(4, 1), Given(64, 0)


def asked_for(text: str) -> list[Given]:
    return growth_asked_for({"SWEEPER_MACHINES": text}).to_come([])


@pytest.mark.parametrize(
    ("text", "may_come"),
    [
        ("", []),
        ("2 x cpu=4 gpu=1", [SMALL] * 2),
        ("2x cpu=4,gpu=1; 1 x cpu=64", [SMALL, SMALL, LARGE]),
        ("1 × gpu=1, cpu=4 ;\n1 x cpu=4 gpu=1", [SMALL] * 2),
    ],
)
def test_groups_of_machines_are_read(text: str, may_come: list[Given]) -> None:
    assert asked_for(text) == may_come


def test_every_problem_is_told_with_what_was_meant() -> None:
    nonsense = "eight; 0 x cpu=4; 2 x cpus=4 gpu=half; 1 x cpu=0; 1 x cpu=1 cpu=2"
    with pytest.raises(UserError) as caught:
        asked_for(f"{nonsense}; {MOST + 1} x cpu=1")
    assert str(caught.value).splitlines() == [
        "SWEEPER_MACHINES is not understood, as '8 x cpu=4 gpu=1; 2 x cpu=64' would be:",
        "  'eight': expected how many machines, an x, and what each has",
        "  '0 x cpu=4': expected 1 to 10000 machines",
        "  '2 x cpus=4 gpu=half': 'cpus=4' is neither cpu=… nor gpu=…: is cpu meant?",
        "  '2 x cpus=4 gpu=half': 'gpu=half': expected a whole number",
        "  '1 x cpu=0': such a machine has nothing to train on",
        "  '1 x cpu=1 cpu=2': cpu is given twice",
        f"  '{MOST + 1} x cpu=1': expected 1 to 10000 machines",
    ]


def test_what_is_there_of_a_shape_need_not_come() -> None:
    growth = growth_asked_for({"SWEEPER_MACHINES": "2 x cpu=4 gpu=1; 1 x cpu=64"})
    there = [Given(0, 0), Given(4.0, 1.0, 1 << 30), Given(64, 0), Given(64, 0)]
    assert growth.to_come(there) == [SMALL]
    assert growth.to_come([SMALL, SMALL, SMALL]) == [LARGE]
