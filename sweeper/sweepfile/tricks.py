"""What a sweep's parameters take from the catalogue of tricks: default knobs, and their order.

Importing this imports the trainer's catalogue, and with it torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sweeper.sweepfile.document import Document
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.order import Relations, in_order
from sweeper.sweepfile.parameters import add_own_conditions, read_parameters
from sweeper.sweepfile.space import apply
from trials import catalogue
from trials.config import load_config, problems_of
from trials.errors import ConfigError


def read_with_tricks(
    document: Document, base: Mapping[str, Any], raw: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    """The section's parameters in their order, `knobs: default` written out as parameters."""
    expanded = _expand_knobs(document, base, raw)
    parameters = add_own_conditions(read_parameters(document, expanded))
    for path in expanded.keys() - raw.keys():
        _remember_whole_range(parameters, path)
        _fit_to_others(base, parameters, path)
    return in_order(document, parameters, relations(parameters))


def _expand_knobs(
    document: Document, base: Mapping[str, Any], raw: Mapping[str, Any]
) -> dict[str, Any]:
    """The section with `knobs: default` written out: a conditional parameter for each knob."""
    expanded: dict[str, Any] = {}
    for path, given in raw.items():
        expanded[path] = given
        if not isinstance(given, Mapping) or given.get("knobs") != "default":
            continue
        trick = catalogue.toggles().get(path.removeprefix("tricks."))
        alive = _alive(base, path.removeprefix("tricks."))
        for knob, domain in trick.search_ranges().items() if trick is not None else ():
            knob_path, range_ = f"{path}.{knob}", _within(domain, alive.get(knob))
            if knob_path not in raw and range_ is not None:
                expanded[knob_path] = {**range_, "when": {path: True}}
                document.places["parameters", knob_path] = document.place(("parameters", path))
    return expanded


def _alive(base: Mapping[str, Any], key: str) -> Mapping[str, tuple[float, float]]:
    """Where knobs of a trick make a difference in the base, if it says so (`Trick.alive`)."""
    try:
        config = load_config(apply(base, {f"tricks.{key}": True}))
    except (ConfigError, ValueError):  # What is wrong with it is reported where the base is.
        return {}
    knobs = config.tricks.get(key)
    return {} if knobs is None else knobs.part.alive(knobs, config)


def _within(
    domain: Mapping[str, Any], alive: tuple[float, float] | None
) -> Mapping[str, Any] | None:
    """A default range without what does nothing there; None where nothing is left of it."""
    if alive is None or "values" in domain:
        return domain
    low, high = alive
    # To four places, inwards: it is written down and read.
    low = max(domain["min"], math.ceil(low * 1e4) / 1e4)
    high = min(domain["max"], math.floor(high * 1e4) / 1e4)
    return {**domain, "min": low, "max": high} if low < high else None


def _remember_whole_range(parameters: dict[str, Parameter], path: str) -> None:
    """Note the default range of a knob on a parameter that has only a part of it."""
    parameter = parameters.get(path)
    if parameter is None or not isinstance(parameter.domain, Range):
        return
    trick = catalogue.toggles()[parameter.trick]
    whole = trick.search_ranges()[path.rpartition(".")[2]]
    ends = replace(parameter.domain, low=whole["min"], high=whole["max"])
    if ends != parameter.domain:
        parameters[path] = replace(parameter, whole=ends)


def _fit_to_others(base: Mapping[str, Any], parameters: dict[str, Parameter], path: str) -> None:
    """Leave out what a default range offers and another parameter's choice would forbid.

    Three packed samples do not divide a batch of 64, and a user who asks for a trick's default
    knobs cannot be asked to know that.
    """
    parameter = parameters[path]
    if not isinstance(parameter.domain, Values):
        return
    others = [item for item in parameters.values() if not item.trick and not item.when]

    def stands(value: Any) -> bool:
        own = {f"tricks.{parameter.trick}": True, path: value}
        choices: Iterator[dict[str, Any]] = (
            {other.path: choice} for other in others for choice in other.domain.samples()
        )
        return all(_is_sound(base, {**choice, **own}, path) for choice in ({}, *choices))

    kept = tuple(value for value in parameter.domain.values if stands(value))
    if kept:
        parameters[path] = replace(parameter, domain=Values(kept))
    else:
        del parameters[path]


def _is_sound(base: Mapping[str, Any], values: Mapping[str, Any], path: str) -> bool:
    try:
        problems = problems_of(apply(base, values))
    except ValueError:  # A path that leads nowhere, which is reported where paths are checked.
        return True
    return all(problem.path != path for problem in problems)


def relations(parameters: Mapping[str, Parameter]) -> dict[str, Relations]:
    """How the tricks that are toggled stand to one another."""
    toggles = catalogue.toggles()
    toggled = {
        path: toggles[parameter.trick]
        for path, parameter in parameters.items()
        if isinstance(parameter.domain, Toggle) and parameter.trick in toggles
    }
    return {
        path: Relations(
            needs=tuple(f"tricks.{key}" for key in trick.requires),
            excludes=tuple(
                other
                for other, rival in toggled.items()
                if other != path
                and (
                    rival.key in trick.conflicts
                    or trick.key in rival.conflicts
                    or (trick.slot and trick.slot == rival.slot)
                )
            ),
        )
        for path, trick in toggled.items()
    }
