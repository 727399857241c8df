"""The entry point: gathers the verbs, and turns exceptions into answers.

Exit status: 0 done, 1 something failed, 2 the user's input is wrong, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated, Any

import typer
import typer.core

from sweeper.cli import (
    ablating,
    checking,
    cleaning,
    control,
    extractors,
    inspect,
    machine,
    papers,
    parts,
    queue,
    running,
    sampling,
    serving,
    signing_in,
    tokens,
    tricks,
)
from sweeper.cli.printing import say
from sweeper.errors import SweeperError, UserError
from sweeper.secrets import redacted
from trials.errors import ConfigError, TrialError

INTERRUPTED = 130
"""The exit status after Ctrl-C, as every shell has it."""


class Verbs(typer.core.TyperGroup):
    """The verbs; one that Ctrl-C ends says so, which Typer would not."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that is asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    name="sweeper",
    cls=Verbs,
    help="Search GAN training, prove the result, record every run.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for group in (
    running,
    checking,
    inspect,
    sampling,
    control,
    cleaning,
    ablating,
    papers,
    tricks,
    parts,
    extractors,
    machine,
    queue,
    signing_in,
    serving,
    tokens,
):
    group.register(app)


def _version(asked: bool) -> None:
    """Print the version and be done."""
    if asked:
        from importlib.metadata import version

        say(f"gan-sweeper {version('gan-sweeper')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search GAN training, prove the result, record every run."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError(
            "the current folder has been removed: change to a folder that exists, and run the "
            "command again"
        ) from error


# Typer carries its own copy of click or uses the installed one, as its version has it; its error
# for wrong parameters derives from the base of all errors of usage in either.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal can show a θ, and a sweep is not to end for that.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    status = run(arguments)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        # A Ctrl-C that comes now ends libraries that tidy up, without tracebacks of theirs.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def run(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status. No traceback reaches a user for a user's mistake."""
    try:
        status = app(arguments, standalone_mode=False, prog_name="sweeper")
    except UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return UserError.exit_status
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except SweeperError as error:
        complain(str(error))
        return error.exit_status
    except ConfigError as error:
        complain("not a valid trial configuration:")
        for problem in error.problems:
            say(redacted(f"  {problem}"), err=True)
        return UserError.exit_status
    except TrialError as error:
        complain(str(error))
        return UserError.exit_status
    except OSError as error:
        place = error.filename2 or error.filename  # what was to be replaced, not its new content
        complain(f"cannot use {place}: {error.strerror}" if place else error.strerror or str(error))
        return SweeperError.exit_status
    except Exception as error:
        from trials.origins import raised_by_another

        told = raised_by_another(error)
        if told is None:
            raise
        complain(told)
        return SweeperError.exit_status
    return status if isinstance(status, int) else 0


def complain(message: str) -> None:
    """One message on the error stream, in the form of every other, and without secrets."""
    say(redacted(f"sweeper: {message}"), err=True)
