"""What a sweep's parameters take from the catalogue of tricks: default knobs, and their order.

Importing this imports the trainer's catalogue, and with it torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sweeper.sweepfile.document import Document
from sweeper.sweepfile.domains import Parameter, Toggle, Values
from sweeper.sweepfile.order import Relations, in_order
from sweeper.sweepfile.parameters import add_own_conditions, read_parameters
from sweeper.sweepfile.space import apply
from trials import catalogue
from trials.config import problems_of


def read_with_tricks(
    document: Document, base: Mapping[str, Any], raw: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    """The section's parameters in their order, `knobs: default` written out as parameters."""
    expanded = _expand_knobs(document, raw)
    parameters = add_own_conditions(read_parameters(document, expanded))
    for path in expanded.keys() - raw.keys():
        _fit_to_others(base, parameters, path)
    return in_order(document, parameters, relations(parameters))


def _expand_knobs(document: Document, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The section with `knobs: default` written out: a conditional parameter for each knob."""
    expanded: dict[str, Any] = {}
    for path, given in raw.items():
        expanded[path] = given
        if not isinstance(given, Mapping) or given.get("knobs") != "default":
            continue
        trick = catalogue.toggles().get(path.removeprefix("tricks."))
        for knob, domain in trick.search_ranges().items() if trick is not None else ():
            knob_path = f"{path}.{knob}"
            if knob_path not in raw:
                expanded[knob_path] = {**domain, "when": {path: True}}
                document.places["parameters", knob_path] = document.place(("parameters", path))
    return expanded


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
