"""The trials of an ablation: every possible cell of its design, on every seed.

What is still to run is a set difference against the study, so an ablation that was killed goes on
where it was, and one that is given more seeds runs only those.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from sweeper.ablation.build import build_design
from sweeper.ablation.designs import Cell, Design, Factor, missing
from sweeper.sweepfile.domains import Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import apply


def design_of(sweep: Sweep) -> Design:
    """The design of an ablation; cells that no trial could be are marked with the reason."""
    assert sweep.ablation.design is not None, "only an ablation has a design"
    factors = [
        Factor(parameter.path)
        if isinstance(parameter.domain, Toggle)
        else Factor(parameter.path, tuple(parameter.domain.cells()))
        for parameter in sweep.parameters
    ]

    def reason(settings: Mapping[str, Any]) -> str | None:
        # Imports torch: only an ablation that is drawn up needs to ask the trainer.
        from trials.config import problems_of

        problems = problems_of(apply(sweep.base, settings))
        return "; ".join(map(str, problems)) if problems else None

    return build_design(sweep.ablation.design, factors, reason, **sweep.ablation.options)


def seeds_of(sweep: Sweep) -> Sequence[int]:
    """The seeds of an ablation, the same for every cell."""
    seeds = sweep.ablation.seeds
    if not isinstance(seeds, int):
        return seeds
    first = int(sweep.base.get("seed", 0))
    return range(first, first + seeds)


def cells_due(
    sweep: Sweep, design: Design, done: Container[tuple[str, int]]
) -> list[tuple[Cell, int]]:
    """(cell, seed) of every run that ``done``, pairs of cell key and seed, does not hold."""
    return list(missing(design.cells, seeds_of(sweep), done))
