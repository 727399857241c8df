"""Reading a sweep file: every problem is found before any is reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from sweeper.errors import Problem, SpecError
from sweeper.home import NAME_RULE, TAKEN, is_reserved, is_valid_name
from sweeper.parts import absent
from sweeper.sweepfile import wandb
from sweeper.sweepfile.document import (
    Document,
    Path,
    depth,
    keys_of,
    one_of,
    read_document,
    read_text,
    shown,
)
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.given import read_mapping
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.order import follows_conditions, in_order
from sweeper.sweepfile.overrides import lay_over
from sweeper.sweepfile.parameters import add_own_conditions, read_parameters
from sweeper.sweepfile.points import check_tries
from sweeper.sweepfile.rules import check_resources, check_secrets, check_sections, check_together
from sweeper.sweepfile.rungs import check_rungs
from sweeper.sweepfile.section import Section
from sweeper.sweepfile.sections import CHOICES, KEYS, SECTIONS, Objective
from sweeper.sweepfile.seeding import check_fresh_seeds
from trials.by_name import ByName
from trials.distributions import canonical
from trials.part import PartConfig, using
from trials.problems import nearest
from trials.validation import problems_from

YOUNGER: dict[str, dict[str, Any]] = {
    "seeds": {"confirm_base": False},
    "search": {"repeat": True},
    "keep": {"checkpoints": "all", "generators": "all", "samples": "every"},
}
"""Settings that not every version wrote down, and what a sweep without them was begun with."""

STORED_DEPTH = 100
"""A sweep file is refused that is nested nearly as deeply (`document.MAX_DEPTH`)."""

AnySection = TypeVar("AnySection", bound=Section)


def load_sweep(source: FilePath | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep, with `overrides` (`limits.trials=50`) laid over it.

    `source` is the path of a sweep file, or a mapping of what would stand in one.

    Raises:
        SpecError: something is wrong; every problem of the sweep is in it.
    """
    if isinstance(source, Mapping):
        return _checked(read_mapping(source), overrides)
    return parse_sweep(read_text(FilePath(source)), str(source), overrides)


def parse_sweep(text: str, filename: str = "<string>", overrides: Sequence[str] = ()) -> Sweep:
    """Read and check the text of a sweep file.

    Raises:
        SpecError: something is wrong; every problem of the text is in it.
    """
    return _checked(read_document(text, filename), overrides, text)


def _checked(document: Document, overrides: Sequence[str], text: str = "") -> Sweep:
    for override in overrides if document.readable else ():
        lay_over(document, override)
    check_secrets(document, text)
    sweep = _assemble(document, checked=True) if document.readable else None
    if sweep is None or document.problems:
        raise SpecError(document.in_file_order())
    return sweep


def read_stored(file: FilePath) -> Sweep:
    """The sweep whose `to_dict` a JSON file holds.

    Raises:
        SpecError: the file was damaged.
    """
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if depth(stored) > STORED_DEPTH:
            raise ValueError("nested too deeply")
    except RecursionError as error:
        raise SpecError([Problem("", "is damaged: nested too deeply", file=str(file))]) from error
    except ValueError as error:
        raise SpecError([Problem("", f"is damaged: {error}", file=str(file))]) from error
    if not isinstance(stored, dict):
        raise SpecError([Problem("", "is damaged: it is not a mapping", file=str(file))])
    return sweep_from_dict(stored, str(file))


def sweep_from_dict(mapping: Mapping[str, Any], filename: str = "spec.json") -> Sweep:
    """The sweep that `to_dict` gave, without asking the trainer about it again.

    Imports no torch, so that a listing of sweeps stays fast.

    Raises:
        SpecError: the mapping was damaged.
    """
    document = Document(filename, root=_as_it_was_meant(mapping))
    sweep = _assemble(document, checked=False)
    if sweep is None or document.problems:
        raise SpecError(document.in_file_order())
    return sweep


def _as_it_was_meant(stored: Mapping[str, Any]) -> dict[str, Any]:
    """With every setting that is younger than the sweep, as sweeps behaved before it."""
    root = dict(stored)
    for section, younger in YOUNGER.items():
        written = root.get(section, {})
        if isinstance(written, dict):
            root[section] = {**younger, **written}
    return root


def _assemble(document: Document, *, checked: bool) -> Sweep | None:
    """The sweep of a document, or None; problems go to the document."""
    root = document.root
    if not isinstance(root, dict):
        what = "the file is empty" if root is None else f"{shown(root)} is not a sweep"
        document.add((), what, "a mapping with name, base, parameters, limits")
        return None
    for key in root:
        if key in wandb.SECTIONS:
            document.add((key,), "is a section of W&B sweeps", wandb.SECTIONS[key])
        elif key not in KEYS:
            document.add((key,), "there is no such section", one_of(KEYS), nearest(key, KEYS))
    with using(_asked(root)) as lacking:
        if checked and lacking:  # a stored sweep can be listed without them
            for problem in lacking:
                at = keys_of(problem.path)
                document.add(at, problem.message, problem.expected, problem.nearest)
            return None  # every name of theirs would be called unknown as well
        return _sweep_of(document, root, checked=checked)


def _sweep_of(document: Document, root: dict[str, Any], *, checked: bool) -> Sweep | None:
    """The sweep of a mapping whose parts are known, or None; problems go to the document."""
    name, description = _read_name(document, root), _read_text(document, root, "description")
    sections: dict[str, Any] = {
        key: _read_section(document, (key,), root.get(key), kind) for key, kind in SECTIONS.items()
    } | {
        key: _read_choice(document, key, root.get(key), kind, checked=checked)
        for key, kind in CHOICES.items()
    }
    objective = _read_objective(document, root.get("objective"))
    base = _read_base(document, root)
    raw = _mapping(document, root, "parameters", "dotted paths and their domains")
    ordered = _parameters(document, base if checked else None, raw)
    check_sections(document, sections)
    check_together(document, ordered, objective, sections)
    if checked:
        check_resources(document, sections["resources"], base or {})
    if checked and base is not None:
        from sweeper.sweepfile.check import (
            check_against_trainer,
            keep_by_objective,
            settle_objective,
        )

        check_against_trainer(document, base, ordered, sections["scheduler"])
        if objective is not None:
            objective = settle_objective(document, base, objective)
        if not document.problems and objective is not None:
            base = keep_by_objective(base, objective)
    if document.problems or base is None or objective is None:
        return None
    sweep = Sweep(
        name=name,
        base=base,
        parameters=ordered,
        objective=objective,
        description=description,
        **sections,
    )
    if checked:
        check_fresh_seeds(document, sweep)
        check_rungs(document, sweep)
    if checked and sweep.search.tries:
        check_tries(document, sweep)
    return sweep


def _parameters(
    document: Document, base: dict[str, Any] | None, raw: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    """The parameters, each behind those it depends on; with the tricks of a `base`, where they are
    to be checked."""
    if base is not None:
        # The catalogue imports torch: only where a sweep is checked, not where one is listed.
        from sweeper.sweepfile.tricks import read_with_tricks

        return read_with_tricks(document, base, raw)
    parameters = add_own_conditions(read_parameters(document, raw))
    ordered = tuple(parameters.values())
    return ordered if follows_conditions(ordered) else in_order(document, parameters, {})


def _asked(root: Mapping[str, Any]) -> dict[str, object]:
    """The distributions that the file, or its base, asks for, by the path where they stand."""
    base = root.get("base")
    own = {"base.parts": base.get("parts")} if isinstance(base, dict) else {}
    return {"parts": root.get("parts"), **own}


def _read_name(document: Document, root: Mapping[str, Any]) -> str:
    name = root.get("name")
    if name is None:
        document.add(("name",), "is missing", "a name for the sweep and its folder")
    elif not isinstance(name, str):
        document.add(("name",), f"{shown(name)} is not text", "a name, in quotes if it is a number")
    elif is_reserved(name):
        document.add(("name",), f"{name!r} {TAKEN}", "another")
    elif not is_valid_name(name):
        document.add(("name",), f"{shown(name)} cannot name a sweep", NAME_RULE)
    return str(name)


def _read_text(document: Document, root: Mapping[str, Any], key: str) -> str:
    text = root.get(key)
    if text is not None and not isinstance(text, str):
        document.add((key,), f"{shown(text)} is wrong", "a text")
    return text if isinstance(text, str) else ""


def _mapping(
    document: Document, root: Mapping[str, Any], key: str, expected: str
) -> dict[str, Any]:
    """A section as a mapping; a heading with nothing under it is an empty one."""
    given = root.get(key)
    if given is None:
        return {}
    if not isinstance(given, dict):
        document.add((key,), f"{shown(given)} is wrong", f"a mapping: {expected}")
        return {}
    return given


def _read_section(
    document: Document, at: Path, given: Any, kind: type[AnySection]
) -> AnySection | None:
    names = list(kind.model_fields)
    unknown = [key for key in given if key not in names] if isinstance(given, dict) else []
    for key in unknown:
        document.add((*at, key), "there is no such setting", one_of(names), nearest(key, names))
    if unknown:
        given = {key: value for key, value in given.items() if key in names}
    try:
        return kind.model_validate({} if given is None else given)
    except ValidationError as error:
        for problem in problems_from(error, kind):
            inner = keys_of(problem.path)
            document.add((*at, *inner), problem.message, problem.expected, problem.nearest)
        return None


def _read_choice(
    document: Document, key: str, given: Any, choice: ByName, *, checked: bool
) -> PartConfig | None:
    """The knobs of the part that a section chooses; a key with nothing after it has its default.

    Of a stored sweep, which is not `checked`, the part may be one that is not here any more.
    """
    if given is None and choice.default is None:
        return None
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
        part = given.get(choice.tag)
        if not checked and isinstance(part, str) and part not in choice.options():
            rest = {name: value for name, value in given.items() if name != choice.tag}
            return absent(choice.what(), part, rest)
    try:
        return choice.read({} if given is None else given)
    except ValidationError as error:
        for problem in problems_from(error, PartConfig):
            inner = tuple(problem.path.split(".")) if problem.path else ()
            document.add((key, *inner), problem.message, problem.expected, problem.nearest)
        return None


def _read_objective(document: Document, given: Any) -> tuple[Objective, ...] | None:
    if isinstance(given, list):
        if len(given) not in (1, 2):
            document.add(("objective",), f"there are {len(given)} objectives", "one or two")
            return None
        read = [
            _read_section(document, ("objective", position), item, Objective)
            for position, item in enumerate(given)
        ]
    else:
        read = [_read_section(document, ("objective",), given, Objective)]
    objectives = tuple(item for item in read if item is not None)
    if len(objectives) == 2 and objectives[0].metric == objectives[1].metric:
        document.add(
            ("objective", 1, "metric"), f"{objectives[0].metric} is given twice", "two measures"
        )
    return objectives if len(objectives) == len(read) else None


def _read_base(document: Document, root: Mapping[str, Any]) -> dict[str, Any] | None:
    """The base with `health` and `parts` merged into it; None where it is not a mapping."""
    if root.get("base") is None:
        document.add(("base",), "is missing", "a trial config, such as {data: {name: digits}}")
    base = dict(_mapping(document, root, "base", "a trial config"))
    if not isinstance(root.get("base"), dict):
        return None
    health = _mapping(document, root, "health", "stop_on and thresholds")
    own = base.get("health")
    if own is None:
        base.pop("health", None)
    if health and own is not None:
        if isinstance(own, dict):
            for key in own.keys() & health.keys():
                document.add(("health", key), "is given in base.health as well", "one of the two")
            health = {**own, **health}
        else:
            document.add(("base", "health"), f"{shown(own)} is wrong", "a mapping")
    if health:
        base["health"] = health
    if names := [*(root.get("parts") or ()), *(base.get("parts") or ())]:
        base["parts"] = list(dict.fromkeys(map(canonical, names)))
    return base
