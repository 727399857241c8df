"""What a sweep is: plain frozen data, the same however it was written down."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeper.parts import DesignConfig, RuleConfig, SamplerConfig
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.section import Section
from sweeper.sweepfile.sections import (
    CHOICES,
    Keep,
    Limits,
    Objective,
    Seeds,
    Tracking,
)
from trials.part import PartConfig

MAY_CHANGE = (
    "description",
    "limits",
    "resources",
    "tracking",
    "keep",
    "search.repeat",
    "seeds.confirm_top",
    "seeds.confirm_base",
    "seeds.replicates",
    "seeds.screen",
)
"""What may still be changed of a sweep that has begun. All else decides which trials there are and
what their scores mean, so changing it would make another sweep of it."""

ABLATION_MAY_CHANGE = (*MAY_CHANGE, "parameters", "ablation")
"""An ablation's cells stand for themselves: factors, cells and seeds may be added later."""


ONCE_LEFT_OUT = (
    *(f"search.{key}" for key in ("startup_trials", "candidates", "sequence", "sigma")),
    "search.population",
    "search.prior_weight",
    *(f"scheduler.{key}" for key in ("grace_steps", "reduction_factor", "startup_trials")),
    *(f"scheduler.{key}" for key in ("interval_steps", "quantile", "resample")),
)
"""Settings that were once written down only where a file gave them: sweeps from then go on."""


@dataclass(frozen=True)
class Difference:
    """Dotted keys in which two sweeps differ: those that a resumed sweep may change, and others."""

    allowed: tuple[str, ...]
    refused: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.allowed or self.refused)


@dataclass(frozen=True)
class Sweep:
    """One sweep file, read and checked.

    `base` is the raw mapping of a trial config, the file's `health` and `parts` merged into it.
    `parameters` stand in an order in which a condition follows the parameter it depends on.
    `objective` holds one objective, or two for a multi-objective search.
    """

    name: str
    base: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    objective: tuple[Objective, ...] = (Objective(),)
    search: SamplerConfig = field(default_factory=lambda: _chosen("search"))
    scheduler: RuleConfig = field(default_factory=lambda: _chosen("scheduler"))
    seeds: Seeds = field(default_factory=Seeds)
    limits: Limits = field(default_factory=Limits)
    resources: Resources = field(default_factory=Resources)
    tracking: Tracking = field(default_factory=Tracking)
    keep: Keep = field(default_factory=Keep)
    ablation: DesignConfig | None = None
    description: str = ""

    def __post_init__(self) -> None:
        # What a file left to the base is a number from here on, and written down as one.
        object.__setattr__(self, "scheduler", self.scheduler.settled(self.base))

    @property
    def health(self) -> Mapping[str, Any]:
        """The health section of the base: what is watched, and what stops a trial."""
        health: Mapping[str, Any] = self.base.get("health", {})
        return health

    @property
    def parts(self) -> tuple[str, ...]:
        """The installed distributions whose parts the sweep asks for."""
        return tuple(self.base.get("parts", ()))

    @property
    def is_ablation(self) -> bool:
        """Whether the sweep runs the cells of a design instead of searching."""
        return self.ablation is not None

    @property
    def is_factorial(self) -> bool:
        """Whether it is an ablation whose effects are estimated from all cells together."""
        return self.ablation is not None and bool(self.ablation.part.factorial)

    def parameter(self, path: str) -> Parameter:
        """The parameter at a dotted path.

        Raises:
            KeyError: it is not searched.
        """
        for parameter in self.parameters:
            if parameter.path == path:
                return parameter
        raise KeyError(path)

    def to_dict(self) -> dict[str, Any]:
        """The sweep in the words of its file, every default written out; JSON can hold it."""
        return {
            "name": self.name,
            "description": self.description,
            "base": copy.deepcopy(dict(self.base)),
            "parameters": {
                path: domain for item in self.parameters for path, domain in item.entries()
            },
            "objective": [item.model_dump() for item in self.objective],
            "search": _written("search", self.search),
            "scheduler": _written("scheduler", self.scheduler),
            "seeds": _given(self.seeds),
            "limits": _given(self.limits),
            "resources": _given(self.resources),
            "tracking": _given(self.tracking),
            "keep": _given(self.keep),
            **({"ablation": _written("ablation", self.ablation)} if self.ablation else {}),
        }

    @property
    def searches_seeds(self) -> bool:
        """Whether the search draws the seed of a training as it draws its other settings."""
        return not self.is_ablation and any(item.path == "seed" for item in self.parameters)

    @property
    def confirms_base(self) -> bool:
        """Whether the base configuration runs on fresh seeds beside the best of the search."""
        begins = bool(self.parameters) and self.search.start_with_base and not self.is_ablation
        return begins and self.seeds.confirm_top > 0 and self.seeds.confirm_base

    def confirmed(self, trials: int | None) -> int:
        """Configurations that may be confirmed, the base's among them: at most one of each of so
        many trials, None where nothing limits them."""
        if self.is_ablation:
            return 0
        wanted = self.seeds.confirm_top + self.confirms_base
        return wanted if trials is None else min(wanted, trials)

    def replicates(self, trials: int | None) -> int:
        """Runs on fresh seeds that may follow a search of so many trials, None where nothing limits
        them: all of them, if none is given up."""
        return self.confirmed(trials) * self.seeds.replicates

    def going_on(self, begun: Sweep) -> Sweep:
        """This sweep as it goes on where `begun` has begun under its name: the base is confirmed
        points are repeated or not and files are kept as it was then, where nothing else is said
        now, and a default range is searched as a whole where it was."""
        domains = {parameter.path: parameter.domain for parameter in begun.parameters}
        parameters = tuple(
            dataclasses.replace(parameter, domain=parameter.whole)
            if parameter.whole is not None and domains.get(parameter.path) == parameter.whole
            else parameter
            for parameter in self.parameters
        )
        seeds = self.seeds
        if "confirm_base" not in seeds.model_fields_set:
            seeds = seeds.model_copy(update={"confirm_base": begun.seeds.confirm_base})
        search = self.search
        if "repeat" not in search.model_fields_set:
            search = search.model_copy(update={"repeat": begun.search.repeat})
        said = self.keep.model_dump(include=self.keep.model_fields_set)
        keep = begun.keep.model_copy(update=said)
        return dataclasses.replace(
            self, seeds=seeds, search=search, parameters=parameters, keep=keep
        )

    @property
    def fingerprint(self) -> str:
        """sha256 of everything that may not change once the sweep has begun."""
        return _digest(self._fixed())

    def answers_to(self, fingerprint: str) -> bool:
        """Whether `fingerprint` is this sweep's, or was under a version that left settings out."""
        fixed = self._fixed()
        if fingerprint == _digest(fixed):
            return True
        left_out = [key for key in ONCE_LEFT_OUT if key in fixed]
        subsets = (
            subset
            for size in range(1, len(left_out) + 1)
            for subset in itertools.combinations(left_out, size)
        )
        return any(
            fingerprint == _digest({key: fixed[key] for key in fixed.keys() - set(subset)})
            for subset in subsets
        )

    def _fixed(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in flatten(self.to_dict()).items()
            if not _may_change(key, self.is_ablation)
        }

    def difference(self, other: Sweep) -> Difference:
        """The keys in which `other`, a new version of this sweep, is not the same."""
        mine, theirs = flatten(self.to_dict()), flatten(other.to_dict())
        changed = [
            key
            for key in sorted(mine.keys() | theirs.keys())
            if key not in mine or key not in theirs or mine[key] != theirs[key]
        ]
        both = self.is_ablation and other.is_ablation
        return Difference(
            allowed=tuple(key for key in changed if _may_change(key, both)),
            refused=tuple(key for key in changed if not _may_change(key, both)),
        )


def _chosen(section: str) -> Any:
    """What a section holds when a file does not speak of it."""
    return CHOICES[section].read({})


def _written(section: str, config: PartConfig) -> dict[str, Any]:
    """A chosen part as it stands in the file."""
    knobs = CHOICES[section].dump(config)
    return {key: value for key, value in knobs.items() if value is not None}


def _given(section: Section) -> dict[str, Any]:
    return section.model_dump(exclude_none=True)


def _digest(fixed: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def _may_change(key: str, ablation: bool) -> bool:
    free = ABLATION_MAY_CHANGE if ablation else MAY_CHANGE
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in free)


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Mappings inside mappings as one, with dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            flat |= flatten(inner, f"{path}.")
        else:
            flat[path] = inner
    return flat
