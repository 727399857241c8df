"""The `parameters` section: each dotted path with its domain and its condition."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweeper.sweepfile import wandb
from sweeper.sweepfile.document import Document, Path, one_of, shown
from sweeper.sweepfile.domains import (
    Domain,
    Parameter,
    Range,
    Toggle,
    Values,
    canonical,
    exact,
    same,
)
from sweeper.sweepfile.ties import KEY as TIE
from sweeper.sweepfile.ties import read_ties
from trials.problems import Problem, nearest

FORMS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max", "q", "step"),
    "int_uniform": ("min", "max", "q", "step"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform_values": ("min", "max", "q", "step"),
    "int_log_uniform": ("min", "max"),
}
"""Distribution → the keys that it reads. The names are those of W&B sweeps."""

TOGGLE_KEYS = ("toggle", "knobs")
ALL_KEYS = (
    *("values", "value", "min", "max", "distribution", "q", "step", *TOGGLE_KEYS, "when"),
    TIE,
)

ROOT: Path = ("parameters",)

MOST = 2**53
"""Steps of a range at most: of so many different places of a range, floats know no more."""


def read_parameters(document: Document, raw: Mapping[str, Any]) -> dict[str, Parameter]:
    """Every parameter of the section that can be understood; problems go to the document."""
    parameters = {}
    conditions = {}
    tied, raw = read_ties(document, raw)
    for path, given in raw.items():
        domain, when = _read_parameter(document, path, given)
        conditions[path] = when or {}
        if domain is not None and when is not None:
            parameters[path] = Parameter(path, domain, when, tied.get(path, ()))
    _check_conditions(document, conditions, parameters, raw)
    return parameters


def _read_parameter(
    document: Document, path: str, given: Any
) -> tuple[Domain | None, dict[str, tuple[Any, ...]] | None]:
    at = (*ROOT, path)
    if not path or not all(path.split(".")):
        document.add(at, f"{path!r} is not a path", "names joined by dots: optimizer.generator.lr")
        return None, None
    if not isinstance(given, Mapping):
        hint = "a mapping: {values: […]}, {min: …, max: …}, {value: …} or {toggle: true}"
        document.add(at, f"{shown(given)} is not a domain", hint)
        return None, None
    domain = _read_domain(document, at, path, given)
    return domain, _read_when(document, (*at, "when"), given.get("when"))


def _read_when(document: Document, at: Path, given: Any) -> dict[str, tuple[Any, ...]] | None:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        expected = "parameters and their values: {tricks.ema: true, loss: [hinge, wgan]}"
        document.add(at, f"{shown(given)} is not a condition", expected)
        return None
    count = len(document.problems)
    for path, allowed in given.items():
        if allowed == []:
            document.add((*at, path), "[] can never be met", "a value, or a list of at least one")
    if len(document.problems) > count:
        return None
    return {
        path: tuple(allowed) if isinstance(allowed, list) else (allowed,)
        for path, allowed in given.items()
    }


def _read_domain(
    document: Document, at: Path, path: str, given: Mapping[str, Any]
) -> Domain | None:
    count = len(document.problems)
    _refuse_unknown(document, at, given)
    if len(document.problems) > count:
        if "distribution" in given:
            _form(document, at, given)
        return None  # what else is wrong may follow from what was said
    if "toggle" in given or "knobs" in given:
        return _read_toggle(document, at, path, given)
    form = _form(document, at, given)
    if form is None or not _only(document, at, given, form):
        return None
    if form == "constant":
        return Values((given["value"],))
    return (
        _read_values(document, at, given)
        if form == "categorical"
        else _read_range(document, at, given, form)
    )


def _refuse_unknown(document: Document, at: Path, given: Mapping[str, Any]) -> None:
    """Report every setting that no domain has; those of W&B with what to write instead."""
    named = given.get("distribution")
    if isinstance(named, str) and named in wandb.DISTRIBUTIONS:
        given = {key: value for key, value in given.items() if key not in ("mu", "sigma")}
    for key in given:
        if key in wandb.SETTINGS:
            document.add((*at, key), "is a setting of W&B sweeps", wandb.SETTINGS[key])
        elif key not in ALL_KEYS:
            close = nearest(str(key), ALL_KEYS)
            document.add((*at, key), "there is no such setting", one_of(ALL_KEYS), close)


def _read_toggle(
    document: Document, at: Path, path: str, given: Mapping[str, Any]
) -> Toggle | None:
    count = len(document.problems)
    if given.get("toggle") is not True:
        document.add((*at, "toggle"), f"{shown(given.get('toggle'))} is wrong", "true")
    if "knobs" in given and given["knobs"] != "default":
        document.add((*at, "knobs"), f"{shown(given['knobs'])} is wrong", "default")
    for key in given:
        if key not in (*TOGGLE_KEYS, "when"):
            document.add((*at, key), "a toggle is on or off and has no other domain", "no such key")
    if path.split(".")[0] != "tricks" or len(path.split(".")) != 2:
        document.add(
            at,
            "only a trick is toggled",
            "tricks.NAME, or {values: [true, false]} for other settings",
        )
    return Toggle() if len(document.problems) == count else None


def _form(document: Document, at: Path, given: Mapping[str, Any]) -> str | None:
    """The distribution that is meant, said or unsaid."""
    if "distribution" in given:
        name = given["distribution"]
        if isinstance(name, str) and name in FORMS:
            return name
        told = f"there is no distribution {shown(name)}"
        here = (*at, "distribution")
        if isinstance(name, str) and name in wandb.DISTRIBUTIONS:
            document.add(here, told, wandb.DISTRIBUTIONS[name])
        else:
            document.add(here, told, one_of(FORMS), nearest(str(name), FORMS))
        return None
    if "values" in given:
        return "categorical"
    if "value" in given:
        return "constant"
    if "min" in given or "max" in given:
        bounds = (given.get("min"), given.get("max"))
        whole = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in bounds)
        stepped = given.get("q", given.get("step")) is not None
        return "q_uniform" if stepped else "int_uniform" if whole else "uniform"
    document.add(at, "has no domain", "`values`, `min` and `max`, `value`, or `toggle: true`")
    return None


def _only(document: Document, at: Path, given: Mapping[str, Any], form: str) -> bool:
    """Whether the keys are those of the form: all that it needs and none of another's."""
    count = len(document.problems)
    allowed = (*FORMS[form], "distribution", "when")
    for key in given:
        if key not in allowed:
            document.add((*at, key), f"does not go with a {form} distribution", one_of(FORMS[form]))
    for key in FORMS[form]:
        if key not in given and key not in ("q", "step"):
            document.add(at, f"`{key}` is missing", f"`{key}`, for a {form} distribution")
    if "q" in given and "step" in given:
        document.add((*at, "step"), "`q` and `step` mean the same", "one of them")
    return len(document.problems) == count


def _read_values(document: Document, at: Path, given: Mapping[str, Any]) -> Values | None:
    values = given["values"]
    here = (*at, "values")
    if not isinstance(values, list) or not values:
        document.add(here, f"{shown(values)} is wrong", "a list of at least one value")
        return None
    seen: dict[str, int] = {}
    for position, value in enumerate(values):
        if seen.setdefault(canonical(value), position) != position:
            document.add((*here, position), f"{shown(value)} is given twice", "each value once")
    return Values(tuple(values)) if len(seen) == len(values) else None


def _read_range(document: Document, at: Path, given: Mapping[str, Any], form: str) -> Range | None:
    stepped, log = form.startswith("q_"), "log" in form
    step_key = "q" if "q" in given else "step"
    low = _number(document, (*at, "min"), given["min"])
    high = _number(document, (*at, "max"), given["max"])
    step: float | None = None
    if step_key in given:
        step = _number(document, (*at, step_key), given[step_key])
    elif stepped:
        step = 1
    if low is None or high is None or (step is None and step_key in given):
        return None
    parts = [low, high, step if step is not None else 1]
    whole = all(isinstance(number, int) for number in parts)
    integer = form.startswith("int_") or (stepped and whole)
    count = len(document.problems)
    if integer and not whole:
        document.add(
            at, f"a {form} distribution needs integer bounds", "integers for min, max and q"
        )
    if low >= high:
        document.add((*at, "min"), f"min {low} is not below max {high}", "min < max")
    elif step is not None and not 0 < step <= high - low:
        document.add((*at, step_key), f"step {step} is wrong", "above 0 and at most max - min")
    if log and low <= 0:
        document.add(
            (*at, "min"),
            f"a logarithmic range cannot include {low}",
            "min > 0; bounds are the values themselves, not their exponents",
        )
    if len(document.problems) == count:
        _check_extent(document, at, Range(low, high, log, step, integer))
    if len(document.problems) > count:
        return None
    if integer:
        return _to_whole_steps(Range(low, high, log, step or 1, True))
    return _to_whole_steps(Range(float(low), float(high), log, step))


def _check_extent(document: Document, at: Path, domain: Range) -> None:
    """Report bounds and steps between which floating-point numbers cannot be drawn."""
    low, high = exact(domain.low), exact(domain.high)
    between = f"from {domain.low} to {domain.high}"
    if domain.log and float(domain.low) == float(domain.high):
        message = (
            f"{between} is empty on a logarithmic scale: both are the same floating-point number"
        )
        document.add(at, message, "bounds further apart")
    elif (high / low if domain.log else high - low) > sys.float_info.max:
        of = "ratio" if domain.log else "difference"
        message = f"the {of} of the bounds, {between}, is too large for a floating-point number"
        document.add(at, message, f"a {of} below {sys.float_info.max:.1g}")
    elif domain.step is not None and not domain.integer and high - low > MOST * exact(domain.step):
        message = f"step {domain.step} {between} is too small for floating-point numbers"
        document.add(at, message, f"at most {MOST:.1g} steps")


def _to_whole_steps(domain: Range) -> Range:
    """The same range with its upper bound on the last step that fits."""
    if domain.step is None or domain.log:
        return domain
    low, step = exact(domain.low), exact(domain.step)
    top = low + (exact(domain.high) - low) // step * step
    return replace(domain, high=int(top) if domain.integer else float(top))


def _number(document: Document, at: Path, given: Any) -> float | None:
    """A number; integers stay integers."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return given
    quotes = ", without quotes" if isinstance(given, str) else ""
    document.add(at, f"{shown(given)} is not a number", f"a number{quotes}")
    return None


def add_own_conditions(parameters: dict[str, Parameter]) -> dict[str, Parameter]:
    """A knob of a trick that is toggled exists only while the trick is on, said or unsaid."""
    completed = {}
    for path, parameter in parameters.items():
        toggle = f"tricks.{parameter.trick}"
        is_knob = parameter.trick and path != toggle
        if is_knob and toggle in parameters and toggle not in parameter.when:
            parameter = replace(parameter, when={toggle: (True,), **parameter.when})
        completed[path] = parameter
    return completed


def _check_conditions(
    document: Document,
    conditions: Mapping[str, Mapping[str, tuple[Any, ...]]],
    parameters: Mapping[str, Parameter],
    raw: Mapping[str, Any],
) -> None:
    """Report conditions on what is no parameter, or on values that it never has."""
    for owner, when in conditions.items():
        for path, allowed in when.items():
            at = (*ROOT, owner, "when", path)
            if path in parameters:
                _check_condition(document, at, parameters[path], allowed)
            elif path not in raw:
                close = nearest(path, raw)
                document.add(
                    at, "is not a parameter of this sweep", "a path that is searched", close
                )


def _check_condition(
    document: Document, at: Path, parent: Parameter, allowed: tuple[Any, ...]
) -> None:
    if isinstance(parent.domain, Range):
        expected = "a toggle or a parameter with `values`"
        document.add(at, "a condition cannot depend on a range", expected)
        return
    possible = parent.domain.points()
    for value in allowed:
        if not any(same(value, own) for own in possible):
            close = nearest(str(value), map(str, possible))
            document.add(at, f"is never {shown(value)}", one_of(possible), close)


def with_whole_range(domain: Domain, problem: Problem) -> Problem:
    """The problem, naming the distribution that draws whole numbers where only those fit."""
    if not isinstance(domain, Range) or problem.expected != "a whole number":
        return problem
    name = "int_log_uniform" if domain.log else "int_uniform"
    return replace(problem, expected=f"a whole number: `distribution: {name}`")
