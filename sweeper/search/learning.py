"""Learning from earlier sweeps of a home, as `search.learn_from` names them.

A trial of theirs is taken where all that this sweep searches has a value of its space in it; what
the earlier sweep did not search is as in that one's base. Refused is a sweep that trains for other
steps, has another objective, is measured by another protocol, or of which nothing fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sweeper.causes import says_nothing
from sweeper.errors import Problem, SpecError, SweeperError
from sweeper.home import Home
from sweeper.protocols import Protocol, alike
from sweeper.standings import Standings
from sweeper.sweepfile.absolute import with_absolute_paths
from sweeper.sweepfile.domains import Toggle
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.model import Sweep, flatten
from sweeper.trial import Trial
from sweeper.wording import changes_in_words, few, plural


class _UnfitError(Exception):
    """Nothing can be learned from a sweep, and why."""


def gathered(sweep: Sweep, home: Home) -> dict[str, Any]:
    """What the sweep is to learn, as its study keeps it: {protocol, trials, taken, otherwise};
    empty where it asks for nothing.

    Raises:
        SpecError: it cannot learn from what its file names; with every reason.
    """
    names: tuple[str, ...] | None = getattr(sweep.search, "learn_from", None)
    if not names:
        return {}
    problems: list[Problem] = []
    trials: list[dict[str, Any]] = []
    protocol: Protocol = {}
    taken: dict[str, list[int]] = {}
    otherwise: dict[str, list[str]] = {}
    for place, name in enumerate(names):
        try:
            if name in names[:place]:
                raise _UnfitError("is named twice")  # each of its trials would count twice
            other = _read(sweep, home, name)
            if not alike(protocol, other.protocol):
                told = changes_in_words(protocol, other.protocol)
                raise _UnfitError(
                    f"is measured by another protocol than the sweeps before it: {told}"
                )
            protocol = protocol or other.protocol
            over = [trial for trial in other.trials if _is_evidence(other, trial)]
            fitting = [entry for trial in over if (entry := _mapped(sweep, other, trial))]
            if not fitting:
                count = plural(len(over), "trial")
                raise _UnfitError(f"has {count}, but none lies in this search space")
        except (_UnfitError, SweeperError) as error:
            problems.append(Problem(f"search.learn_from[{place}]", f"{name}: {error}"))
        else:
            trials += fitting
            taken[name] = [len(fitting), len(over)]
            otherwise[name] = _otherwise(sweep, other.sweep)
    if problems:
        raise SpecError(problems)
    return {
        "protocol": dict(protocol),
        "trials": trials,
        "taken": taken,
        "otherwise": {name: paths for name, paths in otherwise.items() if paths},
    }


def otherwise_in_words(learned: Mapping[str, Any]) -> list[str]:
    """A warning of each sweep that trained with other settings, of what is learned as `gathered`
    gives it."""
    return [
        f"search.learn_from: {name} trained with a different {few(paths)} than this sweep; what "
        "was good there may not be good here"
        for name, paths in learned.get("otherwise", {}).items()
    ]


def _read(sweep: Sweep, home: Home, name: str) -> Standings:
    """The standings of a sweep that may be learned from.

    Raises:
        _UnfitError: it may not.
        SweeperError: it is not there, or cannot be read.
    """
    from sweeper.search.reader import read_study  # imports Optuna
    from trials.config import default_at  # imports torch
    from trials.errors import ConfigError

    if name == sweep.name:
        raise _UnfitError("is this sweep itself")
    folder = home.existing(name)
    other = read_stored(folder.spec_json)
    if other.objective != sweep.objective:
        goals = ", ".join(f"{one.goal} {one.metric}" for one in other.objective)
        raise _UnfitError(f"has another objective: {goals}")
    try:
        lengths = [default_at(one.base, "steps") for one in (other, sweep)]
    except ConfigError as error:  # one of a notebook may have parts that are not here
        told = "; ".join(map(str, error.problems))
        raise _UnfitError(f"has a base that cannot be trained here: {told}") from error
    if lengths[0] != lengths[1]:
        raise _UnfitError(f"trains for {lengths[0]} steps, but this sweep for {lengths[1]}")
    study = read_study(other, folder)
    if study is None:
        raise _UnfitError("has no trial yet")
    return study.standings()


def _is_evidence(other: Standings, trial: Trial) -> bool:
    return (
        trial.over
        and trial.role != "replicate"
        and not trial.donors  # its values are of several settings
        and not says_nothing(trial.cause)
        and other.comparable(trial)
    )


def _mapped(sweep: Sweep, other: Standings, trial: Trial) -> dict[str, Any] | None:
    """What is kept of a trial: its point of this sweep's space; None where it is none."""
    searched = {parameter.path for parameter in other.sweep.parameters}
    values: dict[str, Any] = {}
    for parameter in sweep.parameters:
        path = parameter.path
        if not parameter.applies(values):
            continue
        try:
            value = trial.values[path] if path in searched else _default(other.sweep, path)
        except KeyError:
            return None
        if not parameter.domain.contains(value):
            return None
        values[path] = parameter.domain.snap(value)
    metric = sweep.objective[0].metric
    return {
        "values": values,
        "state": trial.state,
        "cause": trial.cause,
        "objective": trial.objective,
        "curve": trial.curve(metric, other.protocol) if len(sweep.objective) == 1 else {},
    }


def _otherwise(sweep: Sweep, other: Sweep) -> list[str]:
    """The settings that this sweep does not search and the other one has, searched or tied
    otherwise: what its trials teach holds beside those. By path; a part that is another stands for
    its knobs.
    """
    mine, theirs = map(_settings, (sweep, other))
    differ = [
        path
        for path in {**mine, **theirs}
        if (path in mine, mine.get(path)) != (path in theirs, theirs.get(path))
    ]
    parts = [path.removesuffix(".name") for path in differ if path.endswith(".name")]
    parts += sorted(_tricks(mine) ^ _tricks(theirs))
    ties, other_ties = map(_ties, (sweep, other))
    tied = [path for path in {**ties, **other_ties} if ties.get(path) != other_ties.get(path)]
    searched = [parameter.path for parameter in other.parameters]
    named: list[str] = []
    for path in [*parts, *differ, *tied, *searched]:
        fixed = path in searched or (path in mine and path in theirs)
        if path != "seed" and not _covered(path, named) and not _is_searched(path, sweep, fixed):
            named.append(path)
    return named


def _covered(path: str, by: Iterable[str]) -> bool:
    return any(f"{path}.".startswith(f"{at}.") for at in by)


def _is_searched(path: str, sweep: Sweep, fixed: bool) -> bool:
    """Whether this is drawn, or belongs to what is: a trick that is on or off has its knobs where
    they are `fixed`, and a choice brings its own."""
    for parameter in sweep.parameters:
        knobs_stay = fixed and isinstance(parameter.domain, Toggle)
        if path == parameter.path or (not knobs_stay and _covered(path, [parameter.path])):
            return True
    return False


def _tricks(settings: Iterable[str]) -> set[str]:
    return {".".join(path.split(".")[:2]) for path in settings if path.startswith("tricks.")}


def _ties(sweep: Sweep) -> dict[str, str]:
    return {path: parameter.path for parameter in sweep.parameters for path in parameter.tied}


def _settings(sweep: Sweep) -> dict[str, Any]:
    """What decides how the base trains, by path, with the knobs of each trick that the sweep may
    switch on; how it is measured, protocols compare."""
    from trials import catalogue
    from trials.config import RUNS_ON, load_config

    base = load_config(with_absolute_paths(sweep.base)).as_dict()
    for parameter in sweep.parameters:
        if isinstance(parameter.domain, Toggle):
            trick = parameter.path.removeprefix("tricks.")
            knobs = catalogue.toggles()[trick].Config().model_dump(mode="json")
            base["tricks"].setdefault(trick, knobs)
    kept = base.keys() - RUNS_ON - {"evaluation"}
    flat = flatten({key: base[key] for key in base if key in kept})
    flat.pop("tricks", None)  # of a base that has none
    return flat


def _default(sweep: Sweep, path: str) -> Any:
    from trials.config import default_at

    return default_at(sweep.base, path)
