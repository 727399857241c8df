"""The verb that runs ablations."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.options import (
    AcceptOption,
    AdoptOption,
    HomeOption,
    JsonOption,
    ResumeOption,
    RetryOption,
    SetOption,
    Symptoms,
    file_at,
    print_json,
    to_be_retried,
)
from sweeper.cli.printing import outliving_its_reader, say
from sweeper.errors import UserError
from sweeper.home import Home

if TYPE_CHECKING:
    from sweeper.ablation.design import Design
    from sweeper.api import SweepResult
    from sweeper.sweepfile.model import Sweep
    from sweeper.trial import Trial

ALIASES = 4
"""Aliases of an effect that a preview shows: in a Plackett–Burman design each has dozens."""


def register(app: typer.Typer) -> None:
    """Add this group's verb."""
    app.command()(ablate)


def ablate(
    what: Annotated[
        str, typer.Argument(help="A sweep file, or the name of a sweep.", metavar="FILE|NAME")
    ],
    design: Annotated[
        str | None,
        typer.Option(help="Design, such as full_factorial.  [the file's, else leave_one_out]"),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds per cell.  [5]")] = None,
    source: Annotated[
        str,
        typer.Option(
            "--from", help="With the name of a sweep: the trial to start from, `best` or a number."
        ),
    ] = "best",
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the cells without running them.")
    ] = False,
    symptoms: Symptoms = None,
    overrides: SetOption = None,
    retry_failed: RetryOption = False,
    resume: ResumeOption = False,
    adopt: AdoptOption = False,
    home: HomeOption = None,
    accept_protocol: AcceptOption = False,
    json: JsonOption = False,
) -> int:
    """Run an ablation of a file, or around a sweep's best trial.

    Around a trial, the factors are the tricks that it uses. Run it again with more seeds to add
    only those seeds.
    """
    extra = [*(overrides or [])]
    extra += [f"ablation.design={design}"] if design else []
    extra += [f"ablation.seeds={seeds}"] if seeds else []
    path = file_at(what)
    sweep = _of_file(path, extra) if path else _around(what, source, extra, Home.at(home))
    if preview:
        _preview(sweep, Home.at(home), json)
        return 0
    from sweeper.api import run as run_sweep
    from sweeper.cli.live import view

    retry = to_be_retried(retry_failed, symptoms)
    with view(sweep, quiet=json) as listener:
        result = run_sweep(
            sweep,
            home=home,
            listener=listener,
            source=path,
            adopt=adopt,
            retry_failed=retry,
            unpause=resume,
            accept_protocol=accept_protocol,
        )
    _print_result(result, json)
    return result.exit_code


def _of_file(path: Path, overrides: list[str]) -> Sweep:
    """The ablation of a file; of a search, the leave-one-out study of its parameters."""
    from sweeper.sweepfile import parse_sweep
    from sweeper.sweepfile.document import read_text

    text = read_text(path)  # once: of a pipe nothing is left then
    sweep = parse_sweep(text, str(path), overrides)
    if sweep.is_ablation:
        return sweep
    return parse_sweep(text, str(path), [*overrides, "ablation.design=leave_one_out"])


def _around(name: str, source: str, overrides: list[str], home: Home) -> Sweep:
    """The leave-one-out study around a trial of a finished sweep."""
    from sweeper.search.looking import read_standings
    from sweeper.sweepfile import parse_sweep
    from trials.config import load_config

    standings = read_standings(home.existing(name))
    sweep, trials = standings.sweep, standings.trials
    if source == "best":
        chosen = standings.best.trial if standings.best else None
    elif source.isascii() and source.isdigit():
        chosen = next((trial for trial in trials if trial.number == int(source)), None)
        if chosen is None:
            raise UserError(f"{name} has no trial {source}; it has {len(trials)}, numbered from 0")
    else:
        raise UserError(f"--from {source}: expected `best` or the number of a trial")
    if chosen is None:
        raise UserError(f"{name} has no completed trial to start from")
    config = load_config(chosen.config)
    if not config.tricks:
        raise UserError(f"trial {chosen.number} of {name} uses no trick that could be left out")
    base = {key: value for key, value in config.as_dict().items() if key != "device"}
    mapping = {
        "name": f"{name}-ablation",
        "description": f"Tricks of trial {chosen.number} of {name}, one left out at a time.",
        "base": base,
        "parameters": {f"tricks.{trick}": {"toggle": True} for trick in config.tricks},
        "objective": [objective.model_dump() for objective in sweep.objective],
        "limits": {"parallel": sweep.limits.parallel},
        "resources": sweep.resources.model_dump(),
        "tracking": sweep.tracking.model_dump(),
        "keep": sweep.keep.model_dump(),
        "ablation": {"design": "leave_one_out"},
    }
    return parse_sweep(json_module.dumps(mapping), f"{name}, trial {chosen.number}", overrides)


def _preview(sweep: Sweep, home: Home, json: bool) -> None:
    from sweeper.ablation.preview import preview as preview_of
    from sweeper.results import standings_in
    from sweeper.search.ablation_trials import design_of, seeds_of

    design, seeds = design_of(sweep), list(seeds_of(sweep))
    folder = home.sweep(sweep.name)
    standings = standings_in(folder, sweep)
    keys = {cell.label: cell.key for cell in design.cells}
    done = {
        (keys[trial.cell], int(trial.values["seed"]))
        for trial in standings.trials
        if trial.over and trial.cell in keys and standings.comparable(trial)
    }
    plan = preview_of(design, seeds, done)
    seconds = _seconds_of_a_run(sweep, design, standings.trials, home) if plan.runs else None
    if json:
        print_json(
            {
                "name": sweep.name,
                "design": design.kind,
                "cells": [
                    {"label": c.label, "settings": dict(c.settings), "impossible": c.impossible}
                    for c in design.cells
                ],
                "seeds": seeds,
                "runs": len(plan.runs),
                "done": plan.already_done,
                "aliases": design.describe_aliases(),
                "detectable": plan.detectable,
                "seconds_per_run": seconds,
            }
        )
        return
    resolution = f", resolution {design.resolution}" if design.resolution else ""
    say(f"{sweep.name}: {design.kind.replace('_', ' ')}{resolution}")
    for cell in design.cells:
        mark = " (reference)" if cell.label == design.reference else ""
        say(f"  {cell.label}{mark}")
        if cell.impossible:
            say(f"      impossible: {cell.impossible}")
    for line in design.describe_aliases(most=ALIASES):
        say(f"  aliased: {line}")
    done_text = f", {plan.already_done} done" if plan.already_done else ""
    say(f"{len(plan.runs)} runs on {len(seeds)} seeds{done_text}")
    if seconds is not None:
        from sweeper.wording import duration

        parallel = sweep.limits.parallel
        rounds = -(-len(plan.runs) // parallel)
        say(
            f"a run takes about {duration(seconds)} on this machine; all of them "
            f"{duration(seconds * rounds)}, {parallel} at a time"
        )
    if plan.detectable is not None:
        unit = "the paired difference" if design.reference else "an effect over the seeds"
        say(
            f"finds effects of {plan.detectable:.2g} deviations of {unit} "
            f"with 80 % power ({plan.test}, Holm over {plan.comparisons})"
        )


def _seconds_of_a_run(
    sweep: Sweep, design: Design, records: Sequence[Trial], home: Home
) -> float | None:
    """The median of the runs there are; without any, from some steps of the reference."""
    from statistics import median

    seconds = [r.seconds for r in records if r.state == "completed" and r.seconds is not None]
    if seconds:
        return median(seconds)
    if not design.possible:
        return None
    from sweeper.preview import timed_forecast
    from sweeper.sweepfile.space import apply
    from sweeper.sweepfile.ties import with_ties

    cell = next((c for c in design.possible if c.label == design.reference), design.possible[0])
    base = apply(sweep.base, with_ties(sweep.parameters, cell.settings))
    return timed_forecast(replace(sweep, base=base), 1, 0, home.cache)["seconds_per_trial"]


def _print_result(result: SweepResult, json: bool) -> None:
    if json:
        print_json(result.as_dict())
        return
    from sweeper.ablation.table_format import rendered

    with outliving_its_reader():
        for made in result.tables:
            say("\n" + rendered(made, "markdown").decode())
        say(f"report   {result.report}")
        if result.message:
            say(result.message)
