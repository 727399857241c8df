"""The small sections of a sweep file: what each key means, its default and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from sweeper.parts import base_of
from trials.by_name import ByName
from trials.part import PartConfig, knob

Goal = Literal["minimize", "maximize"]

DESIGN_OPTIONS: dict[str, tuple[str, ...]] = {
    "leave_one_out": (),
    "add_one_in": (),
    "one_factor": ("reference",),
    "full_factorial": (),
    "fractional_factorial": ("runs", "resolution", "generators"),
    "plackett_burman": (),
}


def _no_truth_value(value: Any) -> Any:
    # Python counts True as 1, and so would pydantic: `trials: yes` is a mistake, not one trial.
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Scalar = bool | int | float | str
Number = Annotated[float, BeforeValidator(_no_truth_value), Field(allow_inf_nan=False)]


class Section(BaseModel):
    """One mapping of the file: frozen, and closed to names that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Objective(Section):
    """What is optimised, and in which direction."""

    metric: str = "fid"
    """Name of a measure that every evaluation records."""
    goal: Goal = "minimize"
    """By default the direction in which the measure improves."""


class SamplerConfig(PartConfig):
    """How configurations are proposed: what every sampler is told, beside what is its own."""

    part: ClassVar[Any]
    """The sampler (`sweeper.search.sampler`), a class of a room above."""

    seed: Whole = knob(
        0, "seed of the proposals; the trainings have their own, `seed` in the base", ge=0, lt=2**32
    )
    start_with_base: bool = knob(
        True, "whether the first trial is the base configuration as it stands"
    )


class RuleConfig(PartConfig):
    """Which trials are stopped before their last step, judged by the first objective."""

    part: ClassVar[Any]
    """The rule (`sweeper.search.stopping_rule`), a class of a room above."""

    def settled(self, base: Mapping[str, Any]) -> Self:
        """The same with every default as a number, where it follows from the base configuration."""
        return self


class Seeds(Section):
    """How many seeds a configuration is tried on."""

    confirm_top: Whole = Field(default=0, ge=0, le=1000)
    """Best configurations that run again after the search, on fresh seeds; 0: none."""
    replicates: Whole = Field(default=5, ge=2, le=1000)
    """Fresh seeds of each confirmed configuration, the same for all of them."""
    screen: Whole = Field(default=3, ge=2, le=1000)
    """Of those, the first that every one gets; after each further one, whoever can no longer win is
    given up and gets no more."""


class Limits(Section):
    """When the sweep ends. All of it may be raised later, and the sweep goes on."""

    trials: Whole | None = Field(default=None, ge=1, le=1_000_000)
    """Trials of the search; the grid sampler runs every cell when it is not given."""
    parallel: Whole = Field(default=1, ge=1, le=10_000)
    """Trials that run at the same time."""
    failed: Whole | None = Field(default=None, ge=1)
    """Failed trials after which the sweep stops; by default it never does for that."""
    hours: Number | None = Field(default=None, gt=0)
    """Wall-clock hours after which no new trial starts."""


class Resources(Section):
    """What one trial is given."""

    cpu: Number = Field(default=1, ge=0)
    gpu: Number = Field(default=0, ge=0)
    """May be a fraction: 0.5 lets two trials share a GPU."""


DesignName = Literal[
    "leave_one_out",
    "add_one_in",
    "one_factor",
    "full_factorial",
    "fractional_factorial",
    "plackett_burman",
]

FIRST_SEEDS = 5


class Ablation(Section):
    """A designed study in place of a search: every cell of the design on the same seeds.

    The sweep's `parameters` are its factors: toggles, and lists of values.
    """

    design: DesignName | None = None
    """How the factors are arranged into cells; without it the sweep is a search."""
    seeds: Whole | tuple[Whole, ...] = FIRST_SEEDS
    """How many seeds, counted from that of the base, or which. More may be added later."""
    reference: Scalar | None = None
    """one_factor: the level that others are compared with; by default the first."""
    runs: Whole | None = Field(default=None, ge=4)
    """fractional_factorial: cells to run."""
    resolution: Whole | None = Field(default=None, ge=3, le=7)
    """fractional_factorial: least resolution."""
    generators: tuple[str, ...] | None = None
    """fractional_factorial: its generators, such as `ema = spectral_norm*self_attention`."""

    @property
    def options(self) -> dict[str, Any]:
        """The design's own options, those that were given."""
        return _given(self, DESIGN_OPTIONS[self.design]) if self.design else {}


class Tracking(Section):
    """Where runs are recorded."""

    uri: str | None = None
    """MLflow's tracking server or store; by default an SQLite file in the sweeps' home."""


def _given(section: Section, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(section, name)) is not None}


SECTIONS: dict[str, type[Section]] = {
    "seeds": Seeds,
    "limits": Limits,
    "resources": Resources,
    "tracking": Tracking,
    "ablation": Ablation,
}
CHOICES: dict[str, ByName] = {
    "search": ByName(partial(base_of, "sampler"), tag="sampler", default="tpe"),
    "scheduler": ByName(partial(base_of, "stopping rule"), default="none"),
}
"""Sections that choose a part, and what of a part they hold."""

KEYS = ("name", "description", "base", "parameters", "objective", "health", *CHOICES, *SECTIONS)
"""The keys of a sweep file."""
