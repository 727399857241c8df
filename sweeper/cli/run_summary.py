"""What `run` prints when it ends: the leaderboard, and where everything lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from sweeper.cli.leaderboard import print_leaderboard
from sweeper.home import Home
from sweeper.standings.verdict import verdict_in_words
from sweeper.tracking.address import is_server, redacted, tracking_uri

if TYPE_CHECKING:
    from sweeper.api import SweepResult


def print_ending(result: SweepResult, home: Home) -> None:
    """The best trials, whether they beat the base, the files, the next commands."""
    sweep = result.standings.sweep
    typer.echo("")
    print_leaderboard(result.standings, 5)
    typer.echo("")
    if verdict := verdict_in_words(result.standings):
        typer.echo(f"verdict  {verdict}")
    typer.echo(f"report   {result.report}")
    typer.echo(f"files    {result.folder}")
    where = home.flag
    uri = tracking_uri(home.path, sweep.tracking.uri)
    typer.echo(f"runs     {redacted(uri) if is_server(uri) else f'sweeper ui{where}'}")
    typer.echo(f"trials   sweeper top {sweep.name}{where}; sweeper show {sweep.name} NUMBER{where}")
    for record in result.records:
        if record.final is not None:
            values = ", ".join(f"{name} {v:.4g}" for name, v in record.final.metrics.items())
            typer.echo(f"final    trial {record.name} on fresh noise: {values}")
    if result.message:
        typer.echo(result.message)
    if result.state != "finished":
        typer.echo(f"go on    sweeper run {result.folder / 'sweep.yaml'}{where}")
