"""The trials of an ablation: every possible cell of its design, on every seed.

What is still to run is a set difference against the study, so an ablation that was killed goes on
where it was, and one that is given more seeds runs only those.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from sweeper.ablation.design import (
    Cell,
    Design,
    Factor,
    fault_of_cells,
    fault_of_reference,
    missing,
)
from sweeper.ablation.design_kind import DesignKind
from sweeper.errors import PartError
from sweeper.sweepfile.domains import Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import apply
from sweeper.sweepfile.ties import with_ties


def design_of(sweep: Sweep) -> Design:
    """The design of an ablation; cells that no trial could be are marked with the reason.

    Raises:
        DesignError: its factors cannot be arranged so.
        PartError: what the kind of design gives is none.
    """
    assert sweep.ablation is not None, "only an ablation has a design"
    factors = [
        Factor(parameter.path)
        if isinstance(parameter.domain, Toggle)
        else Factor(parameter.path, tuple(parameter.domain.points()))
        for parameter in sweep.parameters
    ]

    def reason(settings: Mapping[str, Any]) -> str | None:
        # Imports torch: only an ablation that is drawn up needs to ask the trainer.
        from trials.config import problems_of

        problems = problems_of(apply(sweep.base, with_ties(sweep.parameters, settings)))
        return "; ".join(map(str, problems)) if problems else None

    kind = DesignKind.named(sweep.ablation.name)(sweep.ablation)
    design, told = kind.arrange(factors, reason), f"the ablation design '{kind.key}'"
    if not isinstance(design, Design):
        raise PartError(f"{told} returned {design!r} (expected a Design)")
    if fault := fault_of_cells(design) or fault_of_reference(design, kind.factorial):
        raise PartError(f"{told}: {fault}")
    return design


def seeds_of(sweep: Sweep) -> Sequence[int]:
    """The seeds of an ablation, the same for every cell."""
    assert sweep.ablation is not None, "only an ablation has seeds of its own"
    seeds = sweep.ablation.seeds
    if not isinstance(seeds, int):
        return seeds
    first = int(sweep.base.get("seed", 0))
    return range(first, first + seeds)


def count_runs(sweep: Sweep) -> int:
    """How many runs an ablation will have: each possible cell on every seed."""
    return len(design_of(sweep).possible) * len(seeds_of(sweep))


def cells_due(
    sweep: Sweep, design: Design, done: Container[tuple[str, int]]
) -> list[tuple[Cell, int]]:
    """(cell, seed) of every run that `done`, pairs of cell key and seed, does not hold."""
    return list(missing(design.cells, seeds_of(sweep), done))
