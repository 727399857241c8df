"""Verbs that steer a running sweep: pause, resume, stop, cancel.

In a home they leave a request in the sweep's folder, which the driver obeys within a second or two.
"""

from __future__ import annotations

import typer

from sweeper.cli.options import HomeOption, ServerOption, SweepName
from sweeper.cli.printing import say
from sweeper.cli.source import source_of
from sweeper.home import Request


def register(app: typer.Typer) -> None:
    """Add this group's verbs."""
    app.command()(pause)
    app.command()(resume)
    app.command()(stop)
    app.command()(cancel)


def pause(name: SweepName, home: HomeOption = None, server: ServerOption = None) -> None:
    """Start no new trials until `resume`; running ones continue."""
    with source_of(home, server) as source:
        source.ask(name, Request.PAUSE)
    say(f"{name}: no new trials will start; `sweeper resume {name}{source.flag}` continues")


def resume(name: SweepName, home: HomeOption = None, server: ServerOption = None) -> None:
    """Let a paused sweep start trials again.

    On a server, this also continues a sweep that has ended.
    """
    with source_of(home, server) as source:
        source.resume(name)
    say(f"{name}: resumed")


def stop(name: SweepName, home: HomeOption = None, server: ServerOption = None) -> None:
    """End a sweep when its running trials have ended."""
    with source_of(home, server) as source:
        source.ask(name, Request.STOP)
    say(f"{name}: ends after its running trials; {source.continues(name)} continues it later")


def cancel(name: SweepName, home: HomeOption = None, server: ServerOption = None) -> None:
    """End a sweep now; running trials keep their checkpoints."""
    with source_of(home, server) as source:
        source.ask(name, Request.CANCEL)
    say(f"{name}: ends now; {source.continues(name)} continues it from the last checkpoints")
