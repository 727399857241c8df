"""Checking a sweep against the trainer: does every configuration that it can reach make sense?

Importing this imports the trainer's catalogue, and with it torch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweeper.sweepfile.document import Document, Path, keys_of, one_of, shown
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.parameters import with_whole_range
from sweeper.sweepfile.rules import check_lag
from sweeper.sweepfile.sections import ON_TOP, Goal, Objective
from sweeper.sweepfile.space import apply, walk
from sweeper.sweepfile.ties import with_ties
from trials import catalogue
from trials.config import TrialConfig, feasible, load_config, problems_of
from trials.data import check_given
from trials.errors import ConfigError, DataError
from trials.metrics.config import foreign_classes, wrong_part
from trials.metrics.extractor import extractor_out_of_reach
from trials.metrics.measure import Measure
from trials.part import unknown_name
from trials.presets import expand
from trials.problems import Problem, nearest
from trials.roles import measures

DRAWS = 100
"""Random configurations tried of a space, beside each value of each parameter; a draw takes time
for each toggle, so that many of those have fewer draws."""

AT_MOST = 5
"""Infeasible combinations that are reported; more of them have the same causes."""


def check_against_trainer(
    document: Document,
    base: Mapping[str, Any],
    parameters: Sequence[Parameter],
    scheduler: Any = None,
) -> None:
    """Report what is wrong with the base, with any value of a parameter, with combinations, and
    with the base under this scheduler."""
    problems = problems_of(base)
    for problem in problems:
        _report(document, _in_base(document, problem.path), problem)
    checker = _Checker(document, base, parameters, set(problems))
    checker.check_values()
    checker.check_files()
    if not document.problems:
        checker.check_toggles()
        checker.check_combinations()
        check_lag(document, base, scheduler)


class _Checker:
    """One space over one base; `of_base` are the problems that the base has by itself."""

    def __init__(
        self,
        document: Document,
        base: Mapping[str, Any],
        parameters: Sequence[Parameter],
        of_base: set[Problem],
    ) -> None:
        self.document = document
        self.base = base
        self.parameters = parameters
        self.of_base = of_base
        self.by_path = {parameter.path: parameter for parameter in parameters}

    def problems(self, values: Mapping[str, Any]) -> list[Problem]:
        """What the values bring beyond the base's own problems."""
        return [p for p in problems_of(self._config(values)) if p not in self.of_base]

    def _config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return apply(self.base, with_ties(self.parameters, values))

    def context(self, parameter: Parameter) -> dict[str, Any]:
        """Values of others with which this one exists: the first that its `when` allows."""
        values: dict[str, Any] = {}
        for path, allowed in parameter.when.items():
            if path in self.by_path:
                values |= self.context(self.by_path[path])
            values[path] = allowed[0]
        return values

    def check_values(self) -> None:
        """Every parameter must be a setting that exists, and each of its values one it can have."""
        for parameter in self.parameters:
            at: Path = ("parameters", parameter.path)
            if isinstance(parameter.domain, Toggle):
                self._check_trick(at, parameter)
                continue
            if any(measures(path) for path in (parameter.path, *parameter.tied)):
                message = (
                    "changes how trials are measured: values of two protocols cannot be compared"
                )
                self.document.add(at, message, "a setting of base, and one sweep for each value")
                continue
            try:
                by_value = [self._faults(parameter, value) for value in parameter.domain.samples()]
            except ValueError as error:
                self.document.add(at, str(error), "a path into the trial config")
                continue
            if isinstance(parameter.domain, Range):
                by_value = [problems for problems in by_value if problems][:1]
            for position, problems in enumerate(by_value):
                for problem in problems:
                    everywhere = all(problem in others for others in by_value)
                    place = at if everywhere else _place_of(at, parameter, position)
                    told = with_whole_range(parameter.domain, problem)
                    _report(self.document, place, told, parameter.path)

    def _faults(self, parameter: Parameter, value: Any) -> list[Problem]:
        """What is wrong with one value, unless another parameter's choice could mend it."""
        chosen = {**self.context(parameter), parameter.path: value}
        problems = self._about(parameter, chosen)
        for other in self._single_choices() if problems else ():
            if parameter.path not in other and not self._about(parameter, {**other, **chosen}):
                return []
        return problems

    def _about(self, parameter: Parameter, values: Mapping[str, Any]) -> list[Problem]:
        """The problems of this parameter: at its path, or where that path breaks off.

        What is wrong with a trick as a whole is not its knob's problem but its toggle's.
        """
        toggle = f"tricks.{parameter.trick}"
        return [
            problem
            for problem in self.problems(values)
            if any(_related(problem.path, path) for path in (parameter.path, *parameter.tied))
            and not (problem.path == toggle and toggle in self.by_path)
        ]

    def _check_trick(self, at: Path, parameter: Parameter) -> None:
        toggles = catalogue.toggles()
        if parameter.trick in toggles:
            return
        trick = catalogue.tricks().get(parameter.trick)
        if trick is not None:
            message = f"{parameter.trick} is a {trick.slot}: search it as `{trick.slot}`"
            self.document.add(at, message, one_of(toggles), nearest(parameter.trick, toggles))
        else:
            _report(self.document, at, unknown_name("", parameter.trick, "trick", list(toggles)))

    def check_toggles(self) -> None:
        """A trick that no configuration of the space can have on is a mistake."""
        for parameter in self.parameters:
            if not isinstance(parameter.domain, Toggle):
                continue
            context = {**self.context(parameter), parameter.path: False}
            tries = (
                {**context, **other}
                for other in self._single_choices()
                if parameter.path not in other
            )
            if not any(feasible(self._config(values), parameter.trick) for values in tries):
                reasons = self.problems({**context, parameter.path: True})
                self.document.add(
                    ("parameters", parameter.path),
                    "can never be on: " + "; ".join(_as_text(reason) for reason in reasons),
                    "a trick that is compatible with the base and the other parameters",
                )

    def _single_choices(self) -> Iterator[dict[str, Any]]:
        yield {}
        for parameter in self.parameters:
            for value in parameter.domain.samples():
                yield {**self.context(parameter), parameter.path: value}

    def check_combinations(self) -> None:
        """Values that are each fine alone may be none together: try some draws of the space."""
        chance = random.Random(0)
        sweep = Sweep(name="check", base=self.base, parameters=tuple(self.parameters))
        reported = 0
        toggles = sum(isinstance(item.domain, Toggle) for item in self.parameters)
        for _ in range(max(DRAWS // 4, DRAWS - 5 * toggles)):
            draw = walk(sweep, lambda parameter: draw_from(parameter, chance))
            problems = [p for p in problems_of(draw.config) if p not in self.of_base]
            if not problems:
                continue
            problem = problems[0]
            culprits = self._culprits(draw.values, problem)
            named = ", ".join(f"{path} = {shown(value)}" for path, value in culprits.items())
            before = len(self.document.problems)
            self.document.add(
                ("parameters", next(reversed(culprits), "")),
                f"{named}: {_as_text(problem)}",
                "conditions (`when`) that keep these apart",
            )
            reported += len(self.document.problems) - before
            if reported >= AT_MOST:
                return

    def _culprits(self, values: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
        """The fewest of the values with which the problem is still there."""
        needed = dict(values)
        for path in reversed(list(values)):
            without = {
                other: value
                for other, value in needed.items()
                if other != path and path not in self.by_path[other].when
            }
            if problem in self.problems(without):
                needed = without
        return needed

    def check_files(self) -> None:
        """The data must be there, and the extractor's weights within reach."""
        for problem in [*_missing_data(self.base), *self._missing_weights()]:
            _report(self.document, _in_base(self.document, problem.path), problem)

    def _missing_weights(self) -> list[Problem]:
        if self.of_base:
            return []
        config = load_config(self.base)
        return extractor_out_of_reach(
            config.evaluation.extractor, config.data.name, config.source.items
        )


def _missing_data(base: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the data themselves, also where some of their settings are wrong."""
    try:
        mapping, _ = expand(base, look=False)
        return check_given(mapping.get("data"))
    except ValueError:  # Of a path that no user has: reported as a wrong setting.
        return []


def draw_from(parameter: Parameter, chance: random.Random) -> Any:
    """A random value of a parameter; of a range also, now and then, its very ends."""
    domain = parameter.domain
    if not isinstance(domain, Range):
        return chance.choice(tuple(domain.points()))
    if chance.random() < 0.2:
        return chance.choice((domain.low, domain.high))
    if domain.log:
        share = chance.random()
        return domain.snap(domain.low ** (1 - share) * domain.high**share)
    return domain.snap(chance.uniform(domain.low, domain.high))


def settle_objective(
    document: Document, base: Mapping[str, Any], objective: Sequence[Objective]
) -> tuple[Objective, ...]:
    """The objectives with their direction filled in, once each is known to be measured."""
    try:
        config = load_config(base)
        recorded, tricks = _recorded(config, objective[0].metric), config.names()
    except (ConfigError, DataError):  # Reported where the base is checked; any name may do.
        recorded, tricks = tuple(Measure.all()), list(catalogue.tricks())
    settled = []
    for position, item in enumerate(objective):
        at: Path = ("objective",)
        if ("objective", position) in document.places:
            at = ("objective", position)
        # A name may have a second part: class_fid/3 of a measure, inpaint/psnr of a trick. What a
        # trick logs is no measure with a known direction: the file says what is better.
        stem, slash, _ = item.metric.partition("/")
        if slash and stem in tricks:
            settled.append(item)
            continue
        if stem not in recorded:
            what = "is not measured in this sweep" if stem in Measure.all() else "is not a measure"
            document.add(
                (*at, "metric"),
                f"{item.metric!r} {what}",
                one_of(recorded),
                nearest(stem, recorded),
            )
            continue
        measure = Measure.named(stem)
        if not measure.may_have_parts() if slash else measure.of_parts:
            document.add((*at, "metric"), *wrong_part(measure))
            continue
        goal: Goal = "minimize" if measure.better == "lower" else "maximize"
        if "goal" in item.model_fields_set and item.goal != goal:
            wrong = f"to {item.goal} {item.metric} would make it worse"
            document.add((*at, "goal"), wrong, goal)
        settled.append(item.model_copy(update={"goal": goal}))
    return tuple(settled)


def keep_by_objective(base: Mapping[str, Any], objective: Sequence[Objective]) -> dict[str, Any]:
    """The base, its trainings keeping the generator that is best by the (first) objective.

    Without a word they keep by FID. What a trick logs cannot choose: it is known only after the
    generator was kept.
    """
    metric = objective[0].metric
    evaluation = base.get("evaluation") or {}
    if metric == "fid" or metric.partition("/")[0] not in Measure.all() or "keep_by" in evaluation:
        return dict(base)
    return {**base, "evaluation": {**evaluation, "keep_by": metric}}


def _recorded(config: TrialConfig, first: str) -> tuple[str, ...]:
    """The measures that every evaluation of the base makes, where the `first` objective is one."""
    if config.evaluation.metrics != "auto":
        return tuple(measure.name for measure in config.evaluation.metrics)
    items = config.source.items
    foreign = foreign_classes(config.evaluation, config.data.name, items)
    return tuple(
        name
        for name, measure in Measure.all().items()
        if items in measure.kinds
        and (name == first.partition("/")[0] or not (foreign and "logits" in measure.needs))
    )


def _related(problem_path: str, path: str) -> bool:
    """Whether one path leads to the other."""
    problem_keys, keys = problem_path.split("."), path.split(".")
    shared = min(len(problem_keys), len(keys))
    return problem_keys[:shared] == keys[:shared]


def _place_of(at: Path, parameter: Parameter, position: int) -> Path:
    if isinstance(parameter.domain, Values) and len(parameter.domain.values) > 1:
        return (*at, "values", position)
    return at


def _in_base(document: Document, path: str) -> Path:
    """Where a problem of the base stands in the file: two of its sections may stand on top."""
    keys = keys_of(path)
    written_on_top = keys[:1] in ON_TOP and keys[:1] in document.places
    return keys if written_on_top else ("base", *keys)


def _report(document: Document, at: Path, problem: Problem, shown_path: str = "") -> None:
    """Report a problem of the trainer at a place of the file; tell its own path if it differs."""
    message = problem.message
    if shown_path and problem.path != shown_path:
        message = f"{problem.path}: {message}"
    document.add(at, message, problem.expected, problem.nearest)


def _as_text(problem: Problem) -> str:
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return f"{text} (expected {problem.expected})" if problem.expected else text
