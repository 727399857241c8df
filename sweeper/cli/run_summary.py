"""What `run` prints when it ends: the leaderboard, and where everything lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.cli.leaderboard import print_leaderboard
from sweeper.cli.printing import say
from sweeper.home import Home
from sweeper.secrets import without_user
from sweeper.standings.verdict import verdict_in_words
from sweeper.tracking.address import is_server, tracking_uri

if TYPE_CHECKING:
    from sweeper.api import SweepResult


def print_ending(result: SweepResult, home: Home) -> None:
    """The best trials, whether they beat the base, the files, the next commands."""
    sweep = result.standings.sweep
    say("")
    print_leaderboard(result.standings, 5)
    say("")
    if verdict := verdict_in_words(result.standings):
        say(f"verdict  {verdict}")
    say(f"report   {result.report}")
    say(f"files    {result.folder}")
    where = home.flag
    uri = tracking_uri(home.path, sweep.tracking.uri)
    say(f"runs     {without_user(uri) if is_server(uri) else f'sweeper ui{where}'}")
    say(f"trials   sweeper top {sweep.name}{where}; sweeper show {sweep.name} NUMBER{where}")
    best = result.best
    if best is not None and best.final is not None:
        values = ", ".join(f"{name} {v:.4g}" for name, v in best.final.metrics.items())
        say(f"final    trial {best.name} on fresh noise: {values}")
    if result.message:
        say(result.message)
    if result.state != "finished":
        say(f"go on    sweeper run {result.folder / 'sweep.yaml'}{where}")
