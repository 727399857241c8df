"""Verbs that steer a running sweep: pause, resume, stop, cancel.

They leave a request in the sweep's folder; the driver obeys it within a second or two.
"""

from __future__ import annotations

import typer

from sweeper.cli.options import HomeOption, SweepName
from sweeper.cli.printing import say
from sweeper.errors import UserError
from sweeper.home import Home, Request, SweepFolder


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(pause)
    app.command()(resume)
    app.command()(stop)
    app.command()(cancel)


def pause(name: SweepName, home: HomeOption = None) -> None:
    """Start no new trials until `resume`; running ones go on."""
    folder = _running(name, home)
    folder.ask(Request.PAUSE)
    again = f"`sweeper resume {name}{Home.at(home).flag}`"
    say(f"{name}: no new trials from now on; {again} continues")


def resume(name: SweepName, home: HomeOption = None) -> None:
    """Let a paused sweep start trials again."""
    folder = _running(name, home)
    if folder.asked() not in (Request.PAUSE, None):
        raise UserError(f"{name} is being ended; when it has, `sweeper run` continues it")
    folder.clear_request()
    say(f"{name}: goes on")


def stop(name: SweepName, home: HomeOption = None) -> None:
    """End a sweep when its running trials have ended."""
    _running(name, home).ask(Request.STOP)
    say(f"{name}: ends when its running trials have; `sweeper run` continues it later")


def cancel(name: SweepName, home: HomeOption = None) -> None:
    """End a sweep now; running trials keep their checkpoints."""
    _running(name, home).ask(Request.CANCEL)
    say(f"{name}: ends now; `sweeper run` continues it from the last checkpoints")


def _running(name: str, home: HomeOption) -> SweepFolder:
    here = Home.at(home)
    folder = here.existing(name)
    if folder.driver() is None:
        again = f"`sweeper run {folder.sweep_yaml}{here.flag}`"
        raise UserError(f"{name} is not running; {again} continues it")
    return folder
