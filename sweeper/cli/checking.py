"""Verbs that look at a sweep file before anything runs: validate, preview, schema."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.options import HomeOption, JsonOption, SetOption, print_json
from sweeper.cli.printing import say, settings
from sweeper.errors import SpecError
from sweeper.home import Home, SweepFolder
from sweeper.privacy import private
from sweeper.wording import plural

if TYPE_CHECKING:
    from sweeper.sweepfile.model import Sweep


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(validate)
    app.command()(preview)
    app.command()(schema)


def validate(
    files: Annotated[list[Path], typer.Argument(help="Sweep files.", metavar="FILE")],
    overrides: SetOption = None,
    data: Annotated[
        bool, typer.Option("--data", help="Decode all data, and say what they are.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Check sweep files and say everything that is wrong.

    Of a file that is right it says how much it would run. With --data everything is decoded, too,
    and kept in the home for the trials. The exit status is 2 where something is wrong.
    """
    report = [
        _checked(file, overrides or [], Home.at(home).cache if data else None) for file in files
    ]
    if json:
        print_json(report)
    else:
        for entry in report:
            _print_checked(entry)
    return 2 if any(entry["problems"] for entry in report) else 0


def _checked(file: Path, overrides: list[str], cache: Path | None) -> dict[str, Any]:
    """What is to be said of one sweep file, and with a `cache` of its data, decoded there."""
    from sweeper.sweepfile import load_sweep
    from trials.config import load_config, warnings_of
    from trials.data import cheap_warnings, lenient, open_data, survey
    from trials.errors import DataError

    entry: dict[str, Any] = {"file": str(file), "problems": [], "warnings": []}
    try:
        sweep = load_sweep(file, overrides)
        config = load_config(sweep.base)
        entry |= {"trials": _first(sweep, 0)[1], "replicates": sweep.replicates}
        entry["plan"] = plan_in_words(sweep, entry["trials"])
        entry["warnings"] = warnings_of(config)
        if cache is None:
            entry["warnings"] += cheap_warnings(config.data)
        else:
            with private(cache.parent):
                entry["data"] = survey(open_data(config.data, cache=cache))
            entry["warnings"] += entry["data"]["warnings"]
    except SpecError as error:
        entry["problems"] = [str(problem) for problem in error.problems]
    except DataError as error:
        entry["problems"] = [f"{file}: {error}"]
        with contextlib.suppress(DataError):
            entry["data"] = survey(open_data(lenient(config.data)))
    return entry


def _print_checked(entry: dict[str, Any]) -> None:
    from trials.data import survey_in_words

    plan = f"; {entry['plan']}" if "plan" in entry and not entry["problems"] else ""
    say(f"{entry['file']}: {_verdict(len(entry['problems']))}{plan}")
    for problem in entry["problems"]:
        say(f"  {problem}")
    for line in survey_in_words(entry["data"]) if "data" in entry else ():
        say(f"  {line}")
    for warning in entry["warnings"]:
        say(f"  warning: {warning}")


def _verdict(count: int) -> str:
    return "valid" if not count else "1 problem" if count == 1 else f"{count} problems"


def preview(
    file: Annotated[Path, typer.Argument(help="A sweep file.", metavar="FILE")],
    overrides: SetOption = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="How many configurations to show.")
    ] = 5,
    probe: Annotated[
        bool, typer.Option(help="Time a short training for the forecast, or do not.")
    ] = True,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the first configurations and a forecast of hours."""
    from sweeper.sweepfile import load_sweep
    from sweeper.sweepfile.space import count_points
    from trials.config import load_config
    from trials.data import cheap_warnings

    sweep = load_sweep(file, overrides or [])
    if not probe:  # which would open the data and tell of more
        for warning in cheap_warnings(load_config(sweep.base).data):
            say(f"warning: {warning}", err=True)
    first, budget = _first(sweep, count)
    searches_grid = sweep.search.part.ends and not sweep.is_ablation
    points = count_points(sweep) if searches_grid else None
    trials = budget or points or 0
    replicates = sweep.replicates
    forecast = forecast_of(sweep, trials, replicates, Home.at(home).cache) if probe else None
    if json:
        print_json(
            {
                "name": sweep.name,
                "first": first,
                "trials": trials,
                "replicates": replicates,
                "grid_cells": points,
                "forecast": forecast,
            }
        )
        return
    how = (sweep.ablation or sweep.search).name
    what = "factors" if sweep.is_ablation else "parameters"
    say(f"{sweep.name}: {how} over {len(sweep.parameters)} {what}")
    for number, values in enumerate(first):
        say(f"  {number:>3}  {settings(values) or 'the base configuration'}")
    say(f"{plan_in_words(sweep, trials)}, {sweep.limits.parallel} at a time")
    if forecast:
        say(
            f"one trial takes about {duration(forecast['seconds_per_trial'])} on this machine; "
            f"all of it at most {duration(forecast['seconds'])} "
            f"(scheduler: {sweep.scheduler.name}, which may stop trials early)"
        )


def plan_in_words(sweep: Sweep, trials: int | None) -> str:
    """`20 trials, then up to 12 runs on fresh seeds (the best 3 and the base, 3 seeds each)`."""
    what = "run" if sweep.is_ablation else "trial"
    words = plural(trials, what) if trials else f"{what}s without a limit"
    if not sweep.replicates:
        return words
    best = "the best" if sweep.seeds.confirm_top == 1 else f"the best {sweep.seeds.confirm_top}"
    base = " and the base" if sweep.confirms_base else ""
    return (
        f"{words}, then up to {sweep.replicates:,} runs on fresh seeds ({best}{base}, "
        f"{sweep.seeds.replicates} seeds each)"
    )


def schema() -> None:
    """Print the JSON schema of sweep files, for editors.

    Parts of installed distributions are in it.
    """
    from sweeper.sweepfile.schema import sweep_schema
    from trials.part import use_installed

    use_installed()
    print_json(sweep_schema())


def _first(sweep: Sweep, count: int) -> tuple[list[dict[str, Any]], int | None]:
    """What a new study would ask for first (later ones depend on the results of these), and how
    many trials it would have, where that is known."""
    from sweeper.search.ledger import Ledger
    from sweeper.search.storage import JOURNAL

    with tempfile.TemporaryDirectory() as path:
        folder = SweepFolder(Path(path) / sweep.name)
        folder.create()
        ledger = Ledger.open(sweep, folder, JOURNAL)
        asked: list[dict[str, Any]] = []
        while len(asked) < min(count, sweep.limits.trials or count):
            trial = ledger.ask()
            if trial is None:
                break
            asked.append(dict(trial.values))
        return asked, ledger.budget


def forecast_of(sweep: Sweep, trials: int, replicates: int, cache: Path) -> dict[str, float]:
    """Seconds for one trial and for the sweep, from some steps of the base configuration."""
    import time

    import torch

    from trials.config import load_config
    from trials.trainer import Training

    config = load_config(sweep.base)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(sweep.resources.cpu)))
    try:
        with private(cache.parent), tempfile.TemporaryDirectory() as folder:
            training = Training(config, Path(folder), cache=cache)
            training.run_to(min(5, config.steps))  # the first steps allocate and are no measure
            began = time.perf_counter()
            warm = training.step
            while training.step < config.steps and time.perf_counter() - began < 3:
                training.run_to(min(training.step + 5, config.steps))
            per_step = (time.perf_counter() - began) / max(1, training.step - warm)
            began = time.perf_counter()
            training.evaluate()
            per_evaluation = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    evaluations = -(-config.steps // config.evaluation.every)
    seconds = per_step * config.steps + per_evaluation * evaluations
    rounds = -(-trials // sweep.limits.parallel) + -(-replicates // sweep.limits.parallel)
    return {
        "seconds_per_step": per_step,
        "seconds_per_evaluation": per_evaluation,
        "seconds_per_trial": seconds,
        "seconds": seconds * rounds,
        "hours": seconds * rounds / 3600,
    }


def duration(seconds: float) -> str:
    """Seconds as a forecast tells them: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
