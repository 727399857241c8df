"""The kinds of part that the service has, and where the base class of each stands.

A sweep file is read on the ground floor, and what it can choose stands in rooms above, built on
what was read: a sampler is given the whole sweep. So the reader must not import them. It asks here
for the base class of a kind by name, at the moment when a file is read, and finds through it
whatever is registered; a room that is never asked for is never imported.

What the settings of all parts of a kind share stands here too, since both sides need it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import ConfigDict

from trials.part import PartConfig, knob

BASES: Mapping[str, str] = {
    "ablation design": "sweeper.ablation.design_kind:DesignKind",
    "table format": "sweeper.ablation.table_format:TableFormat",
    "sampler": "sweeper.search.sampler:Sampler",
    "stopping rule": "sweeper.search.stopping_rule:StoppingRule",
}
"""Kind → module and class of its base."""


def base_of(kind: str) -> Any:
    """The base class of a kind of part, whose `all` and `named` give the parts.

    Of any type, for those who ask are below the room that has it.

    Raises:
        KeyError: the service has no such kind.
    """
    module, _, name = BASES[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def absent(kind: str, key: str, settings: Mapping[str, Any]) -> PartConfig:
    """Settings, as they were written down, of a part that is not known here: enough to list a sweep
    that ran with it, and too little to run it."""
    base = base_of(kind)
    # Made without a key, so that it is not registered; it allows whatever the sweep had.
    part: Any = type("Absent", (base,), {"objectives": 2, "ends": True, "__module__": __name__})
    part.key = key
    config: type[PartConfig] = type(
        "Config", (base.Config,), {"model_config": {"extra": "allow"}, "__module__": __name__}
    )
    config.part = part
    return config.model_validate(settings)


class Fault(NamedTuple):
    """Something wrong at a path of a sweep file, before it is known where in the file that is."""

    path: tuple[str | int, ...]
    """Keys and list positions from the root; a key may hold dots."""
    message: str
    expected: str = ""
    nearest: str = ""


Scalar = bool | int | float | str


class SamplerConfig(PartConfig):
    """How configurations are proposed: what every sampler is told, beside what is its own."""

    part: ClassVar[Any]
    """The sampler (`sweeper.search.sampler`), a class of a room above."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    seed: int = knob(
        0, "seed of the proposals; the trainings have their own, `seed` in the base", ge=0, lt=2**32
    )
    start_with_base: bool = knob(
        True, "whether the first trial is the base configuration as it stands"
    )
    repeat: bool = knob(
        False, "whether a point that has been tried may be trained once more, on the same seed"
    )
    tries: tuple[Mapping[str, Any], ...] | None = knob(
        None,
        "configurations of one's own, run before anything is proposed: parameter → value, what is "
        "left open as in the base",
        alias="try",
    )


class LearningConfig(SamplerConfig):
    """What a sampler is told that can be shown trials of other sweeps."""

    learn_from: tuple[str, ...] | None = knob(
        None,
        "earlier sweeps of the home, measured alike, whose trials the sampler is shown",
    )


class RuleConfig(PartConfig):
    """Which trials are stopped before their last step, decided by the first objective."""

    part: ClassVar[Any]
    """The rule (`sweeper.search.stopping_rule`), a class of a room above."""

    def settled(self, base: Mapping[str, Any]) -> Self:
        """The same with every default as a number, where it follows from the base configuration."""
        return self


class DesignConfig(PartConfig):
    """A designed study in place of a search: every cell of the design on the same seeds.

    The sweep's `parameters` are its factors: toggles, and lists of values.
    """

    part: ClassVar[Any]
    """The design (`sweeper.ablation.design_kind`), a class of a room above."""

    seeds: int | tuple[int, ...] = knob(
        5,
        "how many seeds, counted from that of the base, or which; more may be added later",
    )
