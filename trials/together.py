"""What is wrong between the parts of a configuration that are each fine alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from trials import catalogue
from trials.data import has_test_split
from trials.errors import ConfigError
from trials.game import Trial
from trials.metrics.config import check_evaluation
from trials.networks.build import check as check_networks
from trials.networks.check import needs_company
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig
from trials.problems import Problem
from trials.trick import Trick


class Configuration(Trial, Protocol):
    """A whole configuration: what a part may know of it, and what it is made of."""

    def names(self) -> list[str]:
        """Keys of every trick that is on, selectors first."""

    def active(self) -> Iterator[tuple[type[Trick], PartConfig]]:
        """Every trick that is on with its knobs."""

    def plan(self, shape: tuple[int, ...], classes: int) -> NetworkPlan:
        """The networks' plan for data of that shape, with every trick's changes."""


def problems_together(trial: Configuration) -> list[Problem]:
    """Problems between parts that are each fine alone."""
    problems = catalogue.clashes(trial.names())
    for trick, knobs in trial.active():
        problems += trick.check(knobs, trial)
    if trial.batch_size % trial.accumulate:
        problems.append(
            Problem(
                "accumulate", f"{trial.accumulate} does not divide batch_size {trial.batch_size}"
            )
        )
    if trial.evaluation.lag and trial.precision.tf32:
        message = "tf32 of the training steps would affect measures that are taken at the same time"
        problems.append(Problem("evaluation.lag", message, "0, or precision.tf32: false"))
    shape = trial.shape()
    if shape is not None:
        problems += _evaluation_problems(trial, shape)
    if not problems:
        if shape is None:
            return []
        # How many classes there are is known only when the data are open; two stand for some.
        try:
            plan = trial.plan(shape, 2 if trial.source.labelled else 0)
        except ConfigError as error:
            return error.problems
        problems += check_networks(plan) or _lone_sample_problems(trial, plan)
    return problems


def _lone_sample_problems(trial: Configuration, plan: NetworkPlan) -> Iterator[Problem]:
    """Networks and tricks that need several samples at once and are given one."""
    part = trial.batch_size // trial.accumulate
    judged = part // plan.discriminator.pack
    culprit = "accumulate" if trial.accumulate > 1 else "tricks.packing.samples"
    for player, samples in (("generator", part), ("discriminator", judged)):
        if samples == 1 and needs_company(getattr(plan, player)):
            yield Problem(
                culprit,
                f"leaves the {player}'s batch norm one sample at a time, whose variance is "
                "undefined",
                expected=f"parts of at least two samples, or another networks.{player}.norm",
            )
    for trick, _ in trial.active():
        if judged == 1 and trick.compares:
            message = f"leaves {trick.key} one sample at a time, without others to compare it with"
            yield Problem(culprit, message, expected="parts of at least two samples")
    rules = trial.evaluation
    standing = rules.batch_statistics == "standing"
    if standing and rules.batch == 1 and needs_company(plan.generator):
        yield Problem(
            "evaluation.batch",
            "standing statistics of one sample at a time have no variance",
            expected="2 or more",
        )


def _evaluation_problems(trial: Configuration, shape: tuple[int, ...]) -> list[Problem]:
    """Metrics and extractors that these data, or this generator, cannot serve."""
    takes_labels = any(trick.uses_labels for trick, _ in trial.active())
    return check_evaluation(
        trial.evaluation,
        data=trial.data.name,
        kind=trial.source.items,
        modes=trial.source.known_modes,
        held_out=trial.data.holdout > 0,
        conditional=takes_labels and trial.source.labelled,
        test_split=has_test_split(trial.source),
        shape=shape,
    )
