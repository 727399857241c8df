"""What is said of a sweep file, and of all that one can choose."""

from __future__ import annotations

from typing import Any

from sweeper.service.api.shape import Number, Plain, Shape
from sweeper.service.faults import Fault


class CheckedShape(Shape):
    """What `sweeper validate` says of a file."""

    valid: bool
    problems: list[Fault]
    """Everything that is wrong, by line."""
    warnings: list[str] = []
    plan: str = ""
    """How much it would run, in words."""
    trials: int | None = None
    """Trials before any confirmation; null without a limit, or where the file is wrong."""
    replicates: int = 0
    """Runs on fresh seeds that may follow."""


class PreviewShape(Shape):
    """What `sweeper preview` says of a file."""

    name: str
    searched_by: str
    """The sampler, or the design of an ablation."""
    is_ablation: bool
    parameters: int
    """How many are varied."""
    parallel: int
    scheduler: str
    first: list[Plain]
    """The first configurations, by dotted path; later ones depend on what comes of these."""
    trials: int
    """Trials before any confirmation; 0 without a limit."""
    replicates: int
    grid_cells: int | None
    """Points of a grid; null for any other sampler."""
    plan: str
    warnings: list[str]
    forecast: Plain | None
    """Seconds of a step, an evaluation, a trial and the whole, hours of the whole, of GPUs and of
    CPUs, from some steps of the base on the server's own machine; null where it was not asked for.
    """


class PartShape(Shape):
    """Something that a sweep file can choose by name."""

    kind: str
    name: str
    origin: str
    """This package, or an installed distribution with its version."""
    summary: str


class KnobShape(Shape):
    """One setting of a trick."""

    name: str
    default: Any
    meaning: str | None
    search: Plain | None
    """What a sweep searches by default."""


class TrickShape(Shape):
    """A trick, all of it."""

    name: str
    group: str
    path: str
    """Where it stands in a trial's configuration."""
    origin: str
    summary: str
    formula: str
    paper: str
    knobs: list[KnobShape]
    requires: list[str]
    conflicts: dict[str, str]
    """What cannot be on beside it, and why."""
    cost: Number
    """Time of a training step with it over that without it, where it was measured."""
    description: str


class PresetShape(Shape):
    """The configuration of a paper."""

    name: str
    paper: str
    summary: str
    config: Plain
