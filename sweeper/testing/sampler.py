"""What every sampler promises: points of the space, the same whether or not it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.sampler import Sampler
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.none import NoRule
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective
from sweeper.testing.promises import promise, require
from sweeper.trial import Evaluation

TRIALS = 14

PARAMETERS = (
    Parameter("batch_size", Values((16, 32, 64))),
    Parameter("optimizer.generator.beta1", Range(0.0, 1.0, step=0.25)),
    Parameter("network", Values(("mlp", "dcgan"))),
    Parameter("network.width", Range(8, 64, step=8, integer=True), when={"network": ("dcgan",)}),
)
"""A discrete, a stepped and a conditional parameter."""


@promise("sampler")
def proposes_points_of_the_space(sampler: type[Sampler], folder: Path) -> None:
    """Every value lies in its domain, and a conditional one is there just when it should be."""
    sweep = _sweep(sampler)
    for values in _search(sweep, folder):
        for path, value in values.items():
            require(sweep.parameter(path).domain.contains(value), f"{path} = {value!r} is outside")
        conditional = "network.width" in values
        require(conditional == (values["network"] == "dcgan"), f"a condition is broken: {values}")


@promise("sampler")
def proposes_the_same_after_every_stop(sampler: type[Sampler], folder: Path) -> None:
    """A search whose driver is killed after each trial proposes what an unbroken one does."""
    straight = _search(_sweep(sampler), folder / "straight")
    stopped = _search(_sweep(sampler), folder / "stopped", reopen=True)
    require(straight, "proposes nothing")
    for number, (proposed, other) in enumerate(zip(straight, stopped, strict=True)):
        require(
            proposed == other, f"trial {number} is {proposed} in one go, and {other} after stops"
        )


@promise("sampler")
def ends_only_where_it_says_so(sampler: type[Sampler], folder: Path) -> None:
    """Without `ends` there is always a further proposal."""
    proposals = len(_search(_sweep(sampler), folder))
    require(sampler.ends or proposals == TRIALS, f"proposes nothing after {proposals} trials")


def _sweep(sampler: type[Sampler]) -> Sweep:
    metrics = ("fid", "kid")[: sampler.objectives]
    return Sweep(
        name="probe",
        base={"data": {"name": "digits"}, "steps": 100},
        parameters=PARAMETERS,
        objective=tuple(Objective(metric=metric) for metric in metrics),
        search=sampler.Config.model_validate({"seed": 3, "start_with_base": False}),
        scheduler=Asha.Config(grace_steps=20) if sampler.needs_rungs else NoRule.Config(),
        limits=Limits(trials=TRIALS),
    )


def _search(sweep: Sweep, folder: Path, *, reopen: bool = False) -> list[dict[str, Any]]:
    """The values of each trial of a search in which every training takes no time."""
    place = Home(folder).sweep(sweep.name)
    place.create()
    ledger = Ledger.open(sweep, place)
    proposed: list[dict[str, Any]] = []
    while len(proposed) < TRIALS:
        if reopen:
            ledger = Ledger.open(sweep, place)
        trial = ledger.ask()
        if trial is None:
            break
        values = dict(trial.values)
        proposed.append(values)
        width = values.get("network.width", 0)
        loss = float(values["optimizer.generator.beta1"]) + width / 64 + 1 / values["batch_size"]
        metrics = {"fid": loss, "kid": 1 / (0.1 + loss)}
        ledger.started(trial.number)
        ledger.report(trial.number, Evaluation(100, 1.0, metrics))
        wanted = [metrics[objective.metric] for objective in sweep.objective]
        ledger.complete(trial.number, wanted)
    return proposed
