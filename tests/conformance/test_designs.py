"""A design of an ablation is known by being defined; what it promises is in `sweeper.testing`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
import yaml

from sweeper.ablation.design import Cell, Design, Factor, Feasible, arranged
from sweeper.ablation.design_kind import DesignKind
from sweeper.errors import SpecError
from sweeper.home import Home
from sweeper.parts import DesignConfig
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import parse_sweep, sweep_from_dict
from sweeper.sweepfile.schema import sweep_schema
from trials.part import knob, temporary_parts


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
                most: int = knob(9, "factors in the last cell", ge=1)

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
