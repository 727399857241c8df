"""Which cells an ablation runs: factors, cells, and what a design cannot tell apart.

A cell is a label and a mapping from dotted paths of the trial config to values; what the mapping
does not name stays as the base has it. The kinds of design are in `sweeper.ablation.designs`.

The same seeds are run in every cell, so that differences are paired. What is still to run is a set
difference on (cell key, seed): adding seeds, or cells, later runs only what is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeper.errors import UserError

Feasible = Callable[[Mapping[str, Any]], str | None]
"""Given the settings of a cell: why it cannot run, or None when it can."""


class DesignError(UserError):
    """These factors cannot be arranged in this design."""


@dataclass(frozen=True)
class Factor:
    """One thing that is varied: a toggle, or any parameter's levels.

    The first level is "without" (off, the base's value), the last is "with".
    """

    path: str
    levels: tuple[Any, ...] = (False, True)
    name: str = ""

    def __post_init__(self) -> None:
        if len({canonical(level) for level in self.levels}) < max(2, len(self.levels)):
            raise DesignError(f"{self.path}: a factor needs two or more different levels")
        if not self.name:
            object.__setattr__(self, "name", self.path.removeprefix("tricks."))

    @property
    def is_toggle(self) -> bool:
        return self.levels == (False, True) and all(type(level) is bool for level in self.levels)

    def describe(self, level: Any) -> str:
        """The level as it stands in a label; the level "off" of a toggle is not mentioned."""
        if self.is_toggle:
            return self.name if level else ""
        return f"{self.name}={level if isinstance(level, str) else json.dumps(level)}"


@dataclass(frozen=True)
class Cell:
    """One configuration of a study."""

    label: str
    settings: Mapping[str, Any]
    impossible: str | None = None
    """Why no run of this cell exists; such a cell is shown, never dropped."""

    @property
    def key(self) -> str:
        """Identity by content: the same settings have the same key in every study."""
        return configuration_key(self.settings)


@dataclass(frozen=True)
class AliasTerm:
    """One effect that an estimate also contains: `coefficient` times the product of `factors`."""

    factors: tuple[str, ...]
    coefficient: float = 1.0

    def __str__(self) -> str:
        product = " × ".join(self.factors)
        if self.coefficient in (1.0, -1.0):
            return product if self.coefficient > 0 else f"−{product}"
        sign = "" if self.coefficient > 0 else "−"
        return f"{sign}{abs(self.coefficient):.2g}·{product}"


@dataclass(frozen=True)
class Design:
    """Cells, the one that others are compared with, and what the design cannot tell apart."""

    kind: str
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    reference: str | None = None
    """Label of the cell that every other one is compared with; None for a factorial."""
    resolution: int | None = None
    """None: no effects are aliased (or the notion does not apply)."""
    generators: tuple[str, ...] = ()
    defining_relation: tuple[str, ...] = ()
    aliases: Mapping[tuple[str, ...], tuple[AliasTerm, ...]] = field(default_factory=dict)
    """Effect → every effect that is estimated together with it."""
    complete: bool = False
    """Whether every combination of levels is a cell, so that each effect has columns of its own."""
    main_effects_only: bool = False
    """Whether interactions are not to be estimated from it."""

    @property
    def possible(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.impossible is None)

    def describe_aliases(self, order: int = 2, most: int | None = None) -> list[str]:
        """A line an effect of up to `order` factors, with the first `most` of its aliases.

        Effects that one number estimates stand on one line.

        `ema = spectral × diffaug`: one number estimates both. `ema + 0.33·spectral × diffaug`: the
        estimate of ema holds a third of that interaction too.
        """
        lines: list[str] = []
        told: set[tuple[str, ...]] = set()
        for effect, terms in self.aliases.items():
            if effect in told:
                continue
            shown = [term for term in terms if len(term.factors) <= order]
            if len(effect) <= order and shown:
                partial = any(abs(term.coefficient) != 1.0 for term in shown)
                between = " + " if partial else " = "
                told |= set() if partial else {term.factors for term in shown}
                line = between.join([" × ".join(effect), *map(str, shown[:most])])
                rest = 0 if most is None else max(0, len(shown) - most)
                more = f" and {rest} more" if rest else ""
                lines.append(line.replace(" + −", " − ") + more)
        return lines


def factorial_cell(factors: Sequence[Factor], levels: Sequence[Any]) -> Cell:
    """The cell in which each factor has the given level, labelled by what is not off."""
    parts = [factor.describe(level) for factor, level in zip(factors, levels, strict=True)]
    label = " + ".join(part for part in parts if part) or "none"
    settings = {factor.path: level for factor, level in zip(factors, levels, strict=True)}
    return Cell(label, settings)


def mark_impossible(cells: Iterable[Cell], feasible: Feasible | None) -> tuple[Cell, ...]:
    """The same cells; those that `feasible` objects to carry its reason."""
    if feasible is None:
        return tuple(cells)
    return tuple(Cell(cell.label, cell.settings, feasible(cell.settings)) for cell in cells)


def missing(
    cells: Iterable[Cell], seeds: Sequence[int], done: Container[tuple[str, int]]
) -> list[tuple[Cell, int]]:
    """What is still to run: possible cells × seeds, less the (cell key, seed) that are `done`.

    Seed by seed over all cells, so that a study cut short is a smaller study, still paired.
    """
    possible = [cell for cell in cells if cell.impossible is None]
    return [
        (cell, seed)
        for seed in dict.fromkeys(seeds)
        for cell in possible
        if (cell.key, seed) not in done
    ]


def arranged(
    kind: str,
    factors: Sequence[Factor],
    cells: Sequence[Cell],
    feasible: Feasible | None,
    reference: str | None = None,
) -> Design:
    """A design of these cells, those that cannot run marked with the reason."""
    return Design(kind, tuple(factors), mark_impossible(cells, feasible), reference)


def check_factors(factors: Sequence[Factor]) -> None:
    """There is a factor, and no two share a path or a name."""
    if not factors:
        raise DesignError("a design needs at least one factor")
    for attribute in ("path", "name"):
        seen = [getattr(factor, attribute) for factor in factors]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            raise DesignError(f"two factors share the {attribute} {', '.join(twice)}")


def fault_of_cells(design: Design) -> str | None:
    """What is wrong with the cells of a design: each sets factors to levels, and is there once."""
    if len(design.cells) < 2:
        return "has fewer than two cells"
    levels = {factor.path: factor.levels for factor in design.factors}
    for cell in design.cells:
        foreign = ", ".join(sorted(set(cell.settings) - set(levels)))
        if foreign:
            return f"the cell '{cell.label}' sets {foreign}, which is no factor"
        for path, value in cell.settings.items():
            if value not in levels[path]:
                return f"{path} = {value!r} is not one of its levels"
    labels = [cell.label for cell in design.cells]
    if len(set(labels)) < len(labels):
        return f"two cells share a label: {sorted(labels)}"
    if len({cell.key for cell in design.cells}) < len(labels):
        return "two cells have the same settings"
    return None


def fault_of_reference(design: Design, factorial: bool) -> str | None:
    """What is wrong with the cell that others are compared with: a factorial has none."""
    if factorial:
        return None if design.reference is None else "is `factorial`, and has a reference"
    if design.reference not in [cell.label for cell in design.cells]:
        return f"its reference is {design.reference!r}, no cell"
    return None


def configuration_key(settings: Mapping[str, Any]) -> str:
    """Hash of what a configuration sets, the same whatever the order of its paths."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """Settings as text, the same for equal settings in any order."""
    # Mappings may be read-only views, which json does not know.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
