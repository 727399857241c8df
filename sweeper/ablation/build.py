"""Designs by name, and what a design will cost and can find before anything is run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.ablation.designs import (
    Cell,
    Design,
    DesignError,
    Factor,
    Feasible,
    add_one_in,
    full_factorial,
    leave_one_out,
    missing,
    one_factor,
)
from sweeper.ablation.factorial import effect_names
from sweeper.ablation.fractional import fractional_factorial, plackett_burman
from sweeper.ablation.paired import TestName, detectable_effect, suitable_test


def _one_factor(
    factors: Sequence[Factor], feasible: Feasible | None = None, **options: Any
) -> Design:
    if len(factors) != 1:
        raise DesignError(f"one_factor takes exactly one factor, not {len(factors)}")
    return one_factor(factors[0], feasible, **options)


DESIGNS: dict[str, tuple[Callable[..., Design], tuple[str, ...]]] = {
    "leave_one_out": (leave_one_out, ()),
    "add_one_in": (add_one_in, ()),
    "one_factor": (_one_factor, ("reference",)),
    "full_factorial": (full_factorial, ()),
    "fractional_factorial": (fractional_factorial, ("runs", "resolution", "generators")),
    "plackett_burman": (plackett_burman, ()),
}
"""Name → (builder, the options that it takes)."""


def build_design(
    kind: str, factors: Sequence[Factor], feasible: Feasible | None = None, **options: Any
) -> Design:
    """The design of this name. Raises DesignError for unknown names and options."""
    if kind not in DESIGNS:
        near = difflib.get_close_matches(kind, DESIGNS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(DESIGNS)}"
        raise DesignError(f"there is no design {kind!r}{hint}")
    builder, known = DESIGNS[kind]
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise DesignError(f"{kind} has no option {', '.join(unknown)}; {takes}")
    return builder(factors, feasible, **options)


@dataclass(frozen=True)
class Preview:
    """A design with its seeds, before it is run."""

    runs: tuple[tuple[Cell, int], ...]
    """What is still to run, in order."""
    impossible: tuple[Cell, ...]
    already_done: int
    comparisons: int
    """Tests that Holm's correction will run over."""
    test: TestName | None
    """Which test the number of seeds allows; None with a single seed."""
    detectable: float | None
    """Smallest effect, in standard deviations of the paired differences, or of a factorial's effect
    over the seeds, that is found with 80% probability after the strictest step of the correction;
    None with a single seed."""


def preview(
    design: Design, seeds: Sequence[int], done: Container[tuple[str, int]] = frozenset()
) -> Preview:
    """What `design` on `seeds` will run, given the (cell key, seed) that are done."""
    runs = tuple(missing(design.cells, seeds, done))
    possible = len(design.possible)
    count = len(set(seeds))
    # A factorial tests its effects, every other design its cells against the reference.
    tested = effect_names(design) if design.reference is None else design.possible[1:]
    comparisons = max(len(tested), 1)
    many = count > 1
    return Preview(
        runs=runs,
        impossible=tuple(cell for cell in design.cells if cell.impossible is not None),
        already_done=possible * count - len(runs),
        comparisons=comparisons,
        test=suitable_test(count, comparisons) if many else None,
        detectable=detectable_effect(count, level=0.05 / comparisons) if many else None,
    )
