"""Options that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli.printing import say
from sweeper.errors import UserError


def _folder(text: str) -> Path:
    if not text:  # a variable of a script that is not set; Path would take it for this folder
        raise typer.BadParameter("expected the path of a folder, got an empty string")
    return Path(text)


def given_address(text: str) -> str:
    """An address as an option gives it."""
    if not text:  # a variable of a script that is not set, which is not to mean the usual address
        raise typer.BadParameter("an empty text is not an address")
    return text


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        parser=_folder,
        metavar="PATH",
        help="Folder that holds all sweeps.  [$SWEEPER_HOME, else ./sweeps]",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Sweep service to use instead of a home.  [$SWEEPER_SERVER, else that of `login`]",
    ),
]
RefusedServer = Annotated[str | None, typer.Option("--server", hidden=True)]
"""Of a verb that looks at files: one that a server has is refused with the way out."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-protocol",
        help="Continue although data or extractor changed. Earlier values are not compared with "
        "later ones.",
    ),
]
AdoptOption = Annotated[
    bool,
    typer.Option("--adopt", help="Take over a study that another home has driven."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override one key, such as limits.trials=50; repeatable.",
    ),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Retry failed trials under their numbers.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Start trials even if the sweep is paused.")
]
Symptoms = Annotated[
    list[str] | None,
    typer.Argument(
        help="With --retry-failed: retry only trials that failed for these causes.", metavar="CAUSE"
    ),
]
TrialNumber = Annotated[int, typer.Argument(min=0, help="Number of a trial.", metavar="TRIAL")]
SweepName = Annotated[str, typer.Argument(help="Name of a sweep.", metavar="NAME")]


def to_be_retried(retry_failed: bool, symptoms: list[str] | None) -> bool | list[str]:
    """What the two options above say, as `sweeper.run` takes it.

    Raises:
        UserError: there are symptoms without --retry-failed, or names that are none.
    """
    if symptoms and not retry_failed:
        raise UserError(f"{' '.join(symptoms)}: expected one file (causes need --retry-failed)")
    from sweeper.causes import to_retry

    return to_retry(symptoms) if symptoms else retry_failed


def file_at(what: str) -> Path | None:
    """The file or pipe at this path; None where there is none, as where `what` is a name."""
    path = Path(what)
    return path if path.exists() and not path.is_dir() else None


def print_json(value: Any) -> None:
    """One JSON document on standard output; NaN and infinity become null."""
    say(json.dumps(_plain(value), indent=2, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
