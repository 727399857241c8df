"""What every design of an ablation promises: different cells of the factors, none dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.ablation.design import (
    Design,
    DesignError,
    Factor,
    Feasible,
    fault_of_cells,
    fault_of_reference,
)
from sweeper.ablation.design_kind import DesignKind
from sweeper.testing.promises import Broken, promise, require

FACTORS = (
    Factor("tricks.ema"),
    Factor("tricks.r1"),
    Factor("tricks.diff_augment"),
    Factor("batch_size", (16, 32)),
)
"""Three toggles, and a parameter of two levels; a design that takes fewer gets the first ones."""

REASON = "ema is not to be had here"


@promise("ablation design")
def holds_every_cell_once(design: type[DesignKind], folder: Path) -> None:
    """Labels and settings differ from cell to cell, and set factors to levels of theirs."""
    arranged = _arranged(design, folder)
    require(arranged.kind == design.key, f"its design says that it is of '{arranged.kind}'")
    fault = fault_of_cells(arranged)
    require(fault is None, str(fault))


@promise("ablation design")
def is_the_same_every_time(design: type[DesignKind], folder: Path) -> None:
    """The same factors give an equal design, so that a study can be gone on with."""
    require(_arranged(design, folder) == _arranged(design, folder), "is arranged otherwise again")


@promise("ablation design")
def compares_with_a_cell_of_its_own(design: type[DesignKind], folder: Path) -> None:
    """The reference is one of the cells; a factorial has none."""
    fault = fault_of_reference(_arranged(design, folder), design.factorial)
    require(fault is None, str(fault))


@promise("ablation design")
def marks_what_cannot_run_with_the_reason(design: type[DesignKind], folder: Path) -> None:
    """A cell that is objected to stays among the cells; the others are as they were."""
    whole, marked = _arranged(design, folder), _arranged(design, folder, _without_ema)
    labels = [cell.label for cell in marked.cells]
    require(labels == [cell.label for cell in whole.cells], "drops or moves cells that cannot run")
    for before, cell in zip(whole.cells, marked.cells, strict=True):
        require(cell.settings == before.settings, f"changes what '{cell.label}' sets")
        require(before.impossible is None, f"objects to '{cell.label}' by itself")
        wanted = _without_ema(cell.settings)
        told = f"marks '{cell.label}' as {cell.impossible!r} where the reason is {wanted!r}"
        require(cell.impossible == wanted, told)


def _without_ema(settings: Mapping[str, Any]) -> str | None:
    return REASON if settings.get("tricks.ema") else None


def _arranged(design: type[DesignKind], folder: Path, feasible: Feasible | None = None) -> Design:
    """The design of as many of the factors as it takes."""
    config = design.Config.model_validate(design.example(folder))
    faults = "; ".join(fault.message for fault in design.check(config))
    require(not faults, f"its example is wrong: {faults}")
    refusals = []
    for count in range(len(FACTORS), 0, -1):
        factors: Sequence[Factor] = FACTORS[:count]
        try:
            return design(config).arrange(factors, feasible)
        except DesignError as error:
            refusals.append(str(error))
    raise Broken("takes neither four factors nor fewer: " + "; ".join(refusals))
