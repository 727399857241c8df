"""Parts that each break promises of their kind, and what the suite says of them."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from sweeper.ablation.design import Cell, Design, Factor, Feasible, arranged, factorial_cell
from sweeper.ablation.design_kind import DesignKind
from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table
from sweeper.search.stopping_rule import Curve, StoppingRule
from sweeper.testing import Broken, check_part
from sweeper.testing.trick import has_no_dead_knob
from trials.game import Game
from trials.metrics.extractor import Extractor, Features
from trials.optimization.decay import Decay
from trials.optimization.optimizer import Optimizer
from trials.part import Part, PartConfig, knob, temporary_parts
from trials.trick import Trick


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    with temporary_parts():
        yield


def broken_by(part: type[Part]) -> dict[str, str]:
    """Promise → what is said of it, for each that the part does not keep."""
    with pytest.raises(Broken) as caught:
        check_part(part)
    opening, *faults = str(caught.value).splitlines()
    assert opening == f"{part.kind} '{part.key}'"
    pairs = (fault.strip().partition(": ") for fault in faults)
    return {promise: told for promise, _, told in pairs}


def test_an_extractor_that_draws_and_keeps_gradients_is_told_so() -> None:
    class Careless(Extractor):
        key = "careless"
        summary = "a noisy mean"
        classes = 0
        dim = 2
        resize = "none"
        fingerprint = ""

        @classmethod
        def build(cls, config: Any, shape: tuple[int, ...], device: Any = None) -> Careless:
            return cls()

        def __call__(self, images: Tensor) -> Features:
            means = images.float().flatten(1).mean(dim=1, keepdim=True)
            return Features(means + torch.rand(1), None)

    assert broken_by(Careless) == {
        "gives features of the stated shape": "gives features (5, 1) where `dim` makes them (5, 2)",
        "gives the same features for the same items": "gives others when asked again",
        "names its weights and its resizing": "its `fingerprint` is neither a sha256 nor its key",
        "lets gradients through its layers": "`has_layers`, and gives none",
    }


def test_an_extractor_that_looks_at_its_batch_is_told_so() -> None:
    class Relative(Extractor):
        key = "relative"
        summary = "the mean, less that of the batch"
        classes = 0
        dim = 1
        resize = "none"
        fingerprint = "relative"
        has_layers = False

        @classmethod
        def build(cls, config: Any, shape: tuple[int, ...], device: Any = None) -> Relative:
            return cls()

        def __call__(self, images: Tensor) -> Features:
            means = images.detach().float().flatten(1).mean(dim=1, keepdim=True)
            return Features(means - means.mean(), None)

    (told,) = broken_by(Relative).values()
    assert told == "an item's features depend on the others of its batch"


def test_an_optimizer_that_climbs_and_remembers_in_secret_is_told_so() -> None:
    class Climbing(torch.optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> None:
            self.steps += 1
            with torch.no_grad():
                for group in self.param_groups:
                    for point in group["params"]:
                        point += 0.1 * self.steps * point.grad

    class Careless(Optimizer):
        key = "careless"
        summary = "uphill"

        def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            return Climbing(list(parameters), lr=0.5)

    told = broken_by(Careless)
    assert set(told) == {
        "lowers a convex function",
        "resumes bit for bit",
        "follows the rate that it is given",
    }
    assert told["follows the rate that it is given"] == "starts at the rates [0.5], not at 0.0002"


def test_a_decay_that_misses_its_end_is_told_so() -> None:
    class Half(Decay):
        key = "half"
        summary = "half the way"

        @staticmethod
        def factor(progress: float, floor: float) -> float:
            return 1 - progress / 2

    assert broken_by(Half) == {
        "stays between one and its end": "factor(0.015625, 1.0) is 0.9921875",
        "falls from one to its end": "ends at 0.5, not at 0.0",
    }


def test_a_rule_that_counts_questions_and_looks_ahead_is_told_so() -> None:
    class Careless(StoppingRule):
        key = "careless"
        summary = "stops the worst of the newest values, and every hundredth trial"
        asked = 0

        def verdict(self, number: int, curves: Mapping[int, Curve]) -> str | None:
            self.asked += 1
            newest = [curve[max(curve)] for curve in curves.values() if curve]
            mine = curves[number]
            if not mine or self.asked > 100:
                return "it is time"
            return "the worst" if mine[max(mine)] == max(newest) else None

    told = broken_by(Careless)
    assert set(told) == {
        "answers the same when asked again",
        "says nothing of an empty curve",
        "gives no verdict from the future",
    }
    assert "by what others did later" in told["gives no verdict from the future"]


def test_a_design_that_drops_cells_and_repeats_one_is_told_so() -> None:
    class Careless(DesignKind):
        key = "careless"
        summary = "all combinations, the first one twice"
        factorial = True

        def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
            cells = [
                factorial_cell(factors, levels)
                for levels in itertools.product(*(factor.levels for factor in factors))
            ]
            cells.append(Cell("again", cells[0].settings))
            kept = [cell for cell in cells if feasible is None or not feasible(cell.settings)]
            return arranged(self.key, factors, kept, None, reference="none")

    assert broken_by(Careless) == {
        "holds every cell once": "two cells have the same settings",
        "compares with a cell of its own": "is `factorial`, and has a reference",
        "marks what cannot run with the reason": "drops or moves cells that cannot run",
    }


@pytest.mark.parametrize("separator", [" | ", " & ", ",", "\t", "<br>"])
def test_a_format_that_escapes_nothing_is_told_so(separator: str) -> None:
    class Careless(TableFormat):
        key = "careless"
        summary = "cells, and what stands between them"
        extension = ".md"

        def render(self, table: Table) -> str:
            texts = (column.texts for column in table.columns)
            return "\n".join(separator.join(row) for row in zip(*texts, strict=True))

    told = broken_by(Careless)
    assert set(told) == {"keeps text apart from its separators", "writes to files of its own"}
    assert told["writes to files of its own"] == "careless and markdown write to the same files"
    assert "is read as the end of a cell" in told["keeps text apart from its separators"]


class Side(enum.Enum):
    both = "both"
    real = "real"


def test_a_knob_is_dead_only_where_another_value_was_tried(tmp_path: Path) -> None:
    class Faint(Trick):
        key = "faint"
        group = "judgement"
        summary = "multiplies what the discriminator sees"
        formula = "D sees c x"
        paper = "none"

        class Config(PartConfig):
            side: Side = knob(Side.both, "who")
            share: Literal["half", "third"] | None = knob(None, "how much")
            weights: list[float] = knob([0.9], "w", search={"values": [[0.9], [0.8]]})
            word: str = knob("on", "whether at all")

        def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
            if self.config.word == "off" or not (real or self.config.side is Side.both):
                return images
            factor = {"half": 0.5, "third": 0.3, None: 0.7}[self.config.share]
            return factor * self.config.weights[0] * images

    with pytest.raises(Broken, match=r"other valid value of the knob 'word' is known .* `search`"):
        has_no_dead_knob(Faint, tmp_path)
