"""One suite over every design of an ablation: whatever is in the registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sweeper.ablation.design import Cell, Design, DesignError, Factor, Feasible, arranged
from sweeper.ablation.design_kind import DesignKind
from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.parts import DesignConfig, Whole
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import parse_sweep, sweep_from_dict
from sweeper.sweepfile.schema import sweep_schema
from trials.part import knob, temporary_parts

NEEDED: dict[str, dict[str, Any]] = {"fractional_factorial": {"runs": 8}}
"""Settings without which a design cannot be."""


def factors_for(kind: str) -> list[Factor]:
    """As many factors as the design takes, four where it can."""
    made = DesignKind.named(kind)(DesignKind.named(kind).Config(**NEEDED.get(kind, {})))
    four = [Factor(f"tricks.{letter}") for letter in "abcd"]
    try:
        made.arrange(four)
    except DesignError:
        return four[:1]
    return four


def arrange(kind: str, feasible: Feasible | None = None) -> Design:
    part = DesignKind.named(kind)
    return part(part.Config(**NEEDED.get(kind, {}))).arrange(factors_for(kind), feasible)


@pytest.mark.parametrize("kind", DesignKind.all())
def test_a_design_has_different_cells_and_marks_what_cannot_run(kind: str) -> None:
    design = arrange(kind, lambda settings: "broken")
    assert design.kind == kind
    assert {cell.impossible for cell in design.cells} == {"broken"}
    assert len({cell.label for cell in design.cells}) == len(design.cells)
    assert len({cell.key for cell in design.cells}) == len(design.cells)


@pytest.mark.parametrize("kind", DesignKind.all())
def test_a_design_is_the_same_each_time_and_has_a_reference_unless_it_is_a_factorial(
    kind: str,
) -> None:
    design = arrange(kind)
    assert design == arrange(kind)
    labels = {cell.label for cell in design.cells}
    if DesignKind.named(kind).factorial:
        assert design.reference is None
    else:
        assert design.reference in labels


def test_a_new_design_is_one_class_and_nothing_else(tmp_path: Path) -> None:
    text = """
name: study
base: {data: digits, steps: 10}
parameters: {tricks.ema: {toggle: true}, tricks.r1: {toggle: true}}
ablation: {design: growing, seeds: 2, most: 1}
"""
    with temporary_parts():

        class Growing(DesignKind):
            """One factor after the other."""

            key = "growing"
            summary = "one factor more in each cell"

            class Config(DesignConfig):
                most: Whole = knob(9, "factors in the last cell", ge=1)

            def arrange(
                self, factors: Sequence[Factor], feasible: Feasible | None = None
            ) -> Design:
                cells = [
                    Cell(str(count), {f.path: f in factors[:count] for f in factors})
                    for count in range(min(len(factors), self.config.most) + 1)
                ]
                return arranged(self.key, factors, cells, feasible, reference="0")

        sweep = parse_sweep(text)
        assert sweep.to_dict()["ablation"] == {"design": "growing", "seeds": 2, "most": 1}
        assert sweep_from_dict(json.loads(json.dumps(sweep.to_dict()))) == sweep
        folder = Home(tmp_path).sweep("study")
        folder.create()
        ledger = Ledger.open(sweep, folder)
        assert ledger.budget == 4
        asked = []
        while (trial := ledger.ask()) is not None:
            asked.append((trial.values["tricks.ema"], trial.values["tricks.r1"]))
        assert asked == [(False, False), (True, False)] * 2
        validator = jsonschema.Draft202012Validator(sweep_schema())
        assert validator.is_valid(yaml.safe_load(text))
        assert not validator.is_valid(yaml.safe_load(text.replace("most: 1", "most: 0")))
        with pytest.raises(SpecError) as caught:
            parse_sweep(text.replace("growing", "growin"))
        assert [problem.nearest for problem in caught.value.problems] == ["growing"]
        with pytest.raises(SpecError, match="is an option of growing, not of add_one_in"):
            parse_sweep(text.replace("growing", "add_one_in"))
    with pytest.raises(SpecError, match="there is no ablation design 'growing'"):
        parse_sweep(text)
