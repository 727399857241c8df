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


FIRST_SEEDS = 5


class DesignConfig(PartConfig):
    """A designed study in place of a search: every cell of the design on the same seeds.

    The sweep's `parameters` are its factors: toggles, and lists of values.
    """

    part: ClassVar[Any]
    """The design (`sweeper.ablation.design_kind`), a class of a room above."""

    seeds: Whole | tuple[Whole, ...] = knob(
        FIRST_SEEDS,
        "how many seeds, counted from that of the base, or which; more may be added later",
    )


class Tracking(Section):
    """Where runs are recorded."""

    uri: str | None = None
    """MLflow's tracking server or store; by default an SQLite file in the sweeps' home."""


SECTIONS: dict[str, type[Section]] = {
    "seeds": Seeds,
    "limits": Limits,
    "resources": Resources,
    "tracking": Tracking,
}
CHOICES: dict[str, ByName] = {
    "search": ByName(partial(base_of, "sampler"), tag="sampler", default="tpe"),
    "scheduler": ByName(partial(base_of, "stopping rule"), default="none"),
    "ablation": ByName(partial(base_of, "ablation design"), tag="design"),
}
"""Sections that choose a part, and what of a part they hold."""

KEYS = ("name", "description", "base", "parameters", "objective", "health", *CHOICES, *SECTIONS)
"""The keys of a sweep file."""
