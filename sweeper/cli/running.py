"""Verbs that train: run a sweep, train one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.causes import to_retry
from sweeper.cli.options import (
    AcceptOption,
    AdoptOption,
    HomeOption,
    JsonOption,
    ResumeOption,
    RetryOption,
    ServerOption,
    SetOption,
    Symptoms,
    file_at,
    print_json,
    to_be_retried,
)
from sweeper.cli.printing import say
from sweeper.cli.retraining import note, refuse_another, train_like
from sweeper.cli.source import server_meant
from sweeper.errors import SpecError, UserError
from sweeper.home import Home

if TYPE_CHECKING:
    from trials.config import TrialConfig
    from trials.evaluation import Evaluation

MOST_THREADS = 1024
"""More cores than a machine has; a process for whose threads there is no room just dies."""


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(run)
    app.command()(train)


def run(
    file: Annotated[Path, typer.Argument(help="A sweep file.", metavar="FILE")],
    symptoms: Symptoms = None,
    overrides: SetOption = None,
    adopt: AdoptOption = False,
    retry_failed: RetryOption = False,
    resume: ResumeOption = False,
    home: HomeOption = None,
    server: ServerOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="On a server: submit the sweep without following it.")
    ] = False,
    accept_protocol: AcceptOption = False,
    json: JsonOption = False,
) -> int:
    """Run a sweep, or continue one.

    An interrupted sweep continues from its checkpoints. A sweep whose limits were raised continues
    until it reaches them. Trials that failed for reasons outside their configuration are retried;
    --retry-failed retries all failed trials, or those with the causes named after it.

    On a server, the sweep is submitted and followed. Ctrl-C ends only the view.
    """
    if address := server_meant(home, server):
        _refuse_on_server(adopt, resume)
        retry = to_be_retried(retry_failed, symptoms)
        return _run_there(address, file, overrides or [], retry, accept_protocol, detach, json)
    if detach:
        raise UserError(
            "--detach needs a server: in a home, a sweep runs only as long as its command"
        )
    from sweeper.api import run as run_sweep
    from sweeper.cli.live import view
    from sweeper.sweepfile import load_sweep

    sweep, retry = load_sweep(file, overrides or []), to_be_retried(retry_failed, symptoms)
    with view(sweep, quiet=json) as listener:
        result = run_sweep(
            sweep,
            home=home,
            listener=listener,
            source=file,
            adopt=adopt,
            retry_failed=retry,
            unpause=resume,
            accept_protocol=accept_protocol,
        )
    if json:
        print_json(result.as_dict())
    else:
        from sweeper.cli.run_summary import print_ending

        print_ending(result, Home.at(home))
    return result.exit_code


def _run_there(
    address: str,
    file: Path,
    overrides: list[str],
    retry: bool | list[str],
    accept_protocol: bool,
    detach: bool,
    json: bool,
) -> int:
    from sweeper.cli.remote import ServerSource
    from sweeper.cli.submitting import PATIENCE, run_on_server

    with ServerSource.at(address, PATIENCE) as source:
        return run_on_server(
            source,
            file,
            overrides=overrides,
            retry_failed=to_retry(()) if retry is True else retry or (),
            accept_protocol=accept_protocol,
            detach=detach,
            json=json,
        )


def _refuse_on_server(adopt: bool, resume: bool) -> None:
    if adopt:
        raise UserError("--adopt is for homes: a server owns its studies")
    if resume:
        raise UserError("--resume is for homes: on a server, use `sweeper resume NAME`")


def train(
    what: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or the name of a preset.", metavar="FILE|PRESET"),
    ] = None,
    overrides: SetOption = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="NAME/N",
            help="Train a trial again and compare the results bit for bit.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and samples.  [./trained/NAME]")
    ] = None,
    until: Annotated[
        int | None, typer.Option(min=1, help="Stop after the evaluation at this step.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_THREADS, help="CPU threads; another count changes the last bits."
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Train one GAN, without a sweep.

    Run the same command again to continue an interrupted training. --like trains a trial of a
    home again; the exit status is 1 if the results differ.
    """
    if like is not None:
        if what or overrides or until or threads:
            raise UserError(
                "--like takes all settings from the trial: only --home and --out go with it"
            )
        return train_like(like, home, out, _print_evaluation, json=json)
    if what is None:
        raise UserError("give a file or the name of a preset, or --like NAME/N")
    if home is not None:
        raise UserError("--home is for --like only: other trainings belong to no home")
    config = _checked(_trial_mapping(what, overrides or []))
    return _train(what, config, out or Path("trained") / Path(what).stem, until, threads, json)


def _train(
    what: str, config: TrialConfig, folder: Path, until: int | None, threads: int | None, json: bool
) -> int:
    import torch

    from trials.config import warnings_of
    from trials.evaluation.best_generator import ranked_by, value_of
    from trials.trainer import train as train_one

    for warning in warnings_of(config):
        say(f"warning: {warning}", err=True)
    refuse_another(config, folder)
    if threads is not None:
        torch.set_num_threads(threads)
    steps = min(until or config.steps, config.steps)
    say(f"training {what} for {steps} steps in {folder}", err=json)

    result = train_one(
        config,
        folder=folder,
        report=None if json else _print_evaluation,
        tell=partial(say, err=True),
        begun=partial(note, folder),
        until=until,
    )
    if json:
        best = result.best.as_dict() if result.best else None
        print_json(
            {
                "state": result.state,
                "folder": result.folder,
                "best": best,
                "history": [evaluation.as_dict() for evaluation in result.history],
            }
        )
    else:
        if result.best is not None:
            name = ranked_by(result.best.metrics, config.evaluation.keep_by)
            value = value_of(result.best.metrics, name)
            say(f"best {name} {value:.4g} at step {result.best.step}")
        say(f"{result.state}; samples in {folder / 'samples'}")
    return 1 if result.state == "failed" else 0


def _checked(mapping: Mapping[str, Any]) -> TrialConfig:
    """The trial config of a mapping, once nothing is wrong with it and its data are there.

    Raises:
        ConfigError: with every problem of both.
    """
    from trials.config import load_config, problems_of
    from trials.data import check_given
    from trials.errors import ConfigError

    problems = [*problems_of(mapping), *check_given(mapping.get("data"))]
    if problems:
        raise ConfigError(problems)
    return load_config(mapping)


def _trial_mapping(what: str, overrides: list[str]) -> dict[str, Any]:
    """The raw trial config of a preset, of a trial file, or of a sweep file's base."""
    from sweeper.sweepfile.document import read_text
    from sweeper.sweepfile.space import assign
    from trials import presets
    from trials.problems import nearest

    if what in presets.names():
        mapping: dict[str, Any] = {"preset": what, "data": "digits"}
    elif file := file_at(what):
        mapping = read_yaml(read_text(file), what)
        if not isinstance(mapping, dict):
            raise UserError(f"{what}: expected a mapping (a trial config or a sweep file)")
        if isinstance(mapping.get("base"), dict):
            parts = mapping.get("parts")
            mapping = {**({"parts": parts} if parts else {}), **mapping["base"]}
    else:
        close = nearest(what, presets.names())
        hint = f"; did you mean '{close}'?" if close else ""
        raise UserError(
            f"'{what}' is neither a file nor a preset ({', '.join(presets.names())}){hint}"
        )
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise UserError(f"--set {text}: expected path=value, such as steps=500")
        given = read_yaml(value, f"--set {text}")
        try:
            assign(mapping, path, given)
        except ValueError as error:
            raise UserError(f"--set {text}: {error}; expected a mapping") from error
    return mapping


def read_yaml(text: str, where: str) -> Any:
    """What a text of YAML holds, plainly.

    Raises:
        SpecError: it is none, or holds a secret; `where` says what it is.
    """
    from sweeper.sweepfile.document import read_document
    from sweeper.sweepfile.rules import check_secrets

    document = read_document(text, where)
    check_secrets(document, text)
    if document.problems:
        raise SpecError(document.problems)
    return document.root


def _print_evaluation(evaluation: Evaluation) -> None:
    shown = {
        name: value
        for name, value in evaluation.metrics.items()
        if "/" not in name or name.startswith("loss/")
    }
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    say(f"step {evaluation.step:>6}  {numbers}")
    for symptom in evaluation.symptoms:
        say(f"  {symptom.name}: {symptom.note} Try: {symptom.advice}")
