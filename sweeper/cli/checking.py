"""Verbs that look at a sweep file before anything runs: validate, preview, schema."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli.options import HomeOption, JsonOption, ServerOption, SetOption, print_json
from sweeper.cli.printing import say, settings
from sweeper.cli.source import server_meant
from sweeper.errors import SpecError, UserError
from sweeper.home import Home


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(validate)
    app.command()(preview)
    app.command()(schema)


def validate(
    files: Annotated[list[Path], typer.Argument(help="Sweep files.", metavar="FILE")],
    overrides: SetOption = None,
    data: Annotated[
        bool, typer.Option("--data", help="Decode the whole data set and describe it.")
    ] = False,
    home: HomeOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> int:
    """Check sweep files and list every problem.

    For a valid file, print how much it would run. --data also decodes the whole data set and keeps
    it in the home for the trials. With --server, the server validates, with its own parts and
    files. The exit status is 2 if a file is invalid.
    """
    if address := server_meant(home, server):
        if data:
            raise UserError("--data decodes on this machine: omit it, or give --home")
        report = [_checked_by(address, file, overrides or []) for file in files]
    else:
        report = [_checked(file, overrides or [], Home.at(home), data) for file in files]
    if json:
        print_json(report)
    else:
        for entry in report:
            _print_checked(entry)
    return 2 if any(entry["problems"] for entry in report) else 0


def _checked(file: Path, overrides: list[str], home: Home, data: bool) -> dict[str, Any]:
    """What is to be said of one sweep file, and with `data` of its data, decoded in the home."""
    from sweeper.bucket.place import check_place
    from sweeper.preview import overview_of
    from sweeper.sweepfile import load_sweep
    from trials.config import load_config
    from trials.data import lenient, open_data, survey
    from trials.errors import DataError, ExtractorError

    entry: dict[str, Any] = {"file": str(file), "problems": [], "warnings": []}
    try:
        sweep = load_sweep(file, overrides)
        check_place(home.sweep(sweep.name))
        entry |= overview_of(sweep, home, home.cache if data else None)
    except SpecError as error:
        entry["problems"] = [str(problem) for problem in error.problems]
    except ExtractorError as error:
        entry["problems"] = [f"{file}: evaluation.extractor: {error}"]
    except UserError as error:  # of what is in no file
        entry["problems"] = [str(error)]
    except DataError as error:
        entry["problems"] = [f"{file}: {error}"]
        with contextlib.suppress(DataError):
            entry["data"] = survey(open_data(lenient(load_config(sweep.base).data)))
    return entry


def _checked_by(address: str, file: Path, overrides: list[str]) -> dict[str, Any]:
    """The same, as a server says it."""
    from sweeper.cli.remote import ServerSource
    from sweeper.sweepfile.document import read_text

    entry: dict[str, Any] = {"file": str(file), "problems": [], "warnings": []}
    try:
        with ServerSource.at(address) as source:
            checked, problems = source.client.files.validate(
                read_text(file), overrides=overrides, filename=str(file)
            )
    except SpecError as error:
        return entry | {"problems": [str(problem) for problem in error.problems]}
    if problems:
        return entry | {"problems": [str(problem) for problem in problems]}
    return entry | checked.model_dump(exclude={"valid", "problems"})


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
        int, typer.Option("--count", "-n", min=1, help="Number of configurations to show.")
    ] = 5,
    probe: Annotated[bool, typer.Option(help="Time a short training for the forecast.")] = True,
    home: HomeOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Show the first configurations and a forecast of hours."""
    if address := server_meant(home, server):
        shown = _preview_by(address, file, overrides or [], count, probe)
        where = "on the server's machine"
    else:
        shown = _preview(file, overrides or [], count, probe, Home.at(home))
        where = "on this machine"
    for warning in shown.pop("warnings"):
        say(f"warning: {warning}", err=True)
    plan = shown.pop("plan")
    if json:
        print_json(shown)
        return
    what = "factors" if shown["is_ablation"] else "parameters"
    say(f"{shown['name']}: {shown['searched_by']} over {shown['parameters']} {what}")
    for number, values in enumerate(shown["first"]):
        say(f"  {number:>3}  {settings(values) or 'the base configuration'}")
    say(f"{plan}, {shown['parallel']} at a time")
    if forecast := shown["forecast"]:
        from sweeper.wording import duration

        gpus = f", {forecast['gpu_hours']:.2g} GPU hours" if forecast["gpu_hours"] else ""
        say(
            f"one trial takes about {duration(forecast['seconds_per_trial'])} {where}"
            f"{_sharing(forecast['at_once'], shown['parallel'])}; "
            f"the sweep takes about {duration(forecast['seconds'])}{gpus} without early stopping "
            f"(scheduler: {shown['scheduler']})"
        )


def _sharing(at_once: int, parallel: int) -> str:
    """How many trials share a machine, where it holds fewer than the file allows."""
    return f", which runs {at_once} of them at a time" if at_once < parallel else ""


def _preview(
    file: Path, overrides: list[str], count: int, probe: bool, home: Home
) -> dict[str, Any]:
    """What is to be shown of a file, with its `plan` and `warnings`."""
    from sweeper.preview import plan_in_words, preview_of, timed_forecast
    from sweeper.sweepfile import load_sweep
    from trials.config import load_config
    from trials.data import cheap_warnings

    sweep = load_sweep(file, overrides)
    shown = preview_of(sweep, count, home)
    trials, replicates = shown["trials"], shown["replicates"]
    return {
        **shown,
        "forecast": timed_forecast(sweep, trials, replicates, home.cache) if probe else None,
        "plan": plan_in_words(sweep, trials),
        # A short training opens the data, and tells of more.
        "warnings": [] if probe else cheap_warnings(load_config(sweep.base).data),
    }


def _preview_by(
    address: str, file: Path, overrides: list[str], count: int, probe: bool
) -> dict[str, Any]:
    """The same, as a server says it."""
    from sweeper.cli.remote import ServerSource
    from sweeper.sweepfile.document import read_text

    with ServerSource.at(address) as source:
        return source.client.files.preview(
            read_text(file), overrides=overrides, count=count, probe=probe, filename=str(file)
        ).model_dump()


def schema() -> None:
    """Print the JSON schema of sweep files, for editors.

    It includes the parts of installed distributions.
    """
    from sweeper.sweepfile.schema import sweep_schema
    from trials.part import using_installed

    with using_installed():
        print_json(sweep_schema())
