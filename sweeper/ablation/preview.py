"""What a design will cost and can find, before anything is run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from sweeper.ablation.design import Cell, Design, missing
from sweeper.ablation.factorial import effect_names
from sweeper.ablation.paired import TestName, detectable_effect, suitable_test


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
