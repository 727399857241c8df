"""What `run` prints when it ends: the leaderboard, and where everything lies."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeper.cli.leaderboard import print_leaderboard
from sweeper.cli.printing import outliving_its_reader, say
from sweeper.home import Home
from sweeper.secrets import without_user
from sweeper.standings.kept import scored_as
from sweeper.standings.verdict import verdict_in_words
from sweeper.tracking.address import is_server, tracking_uri

if TYPE_CHECKING:
    from sweeper.api import SweepResult
    from sweeper.standings import Standings


def print_ending(result: SweepResult, home: Home) -> None:
    """The best trials, whether they beat the base, the files, the next commands."""
    uri = tracking_uri(home.path, result.standings.sweep.tracking.uri)
    where = home.flag
    places = {
        "report": str(result.report),
        "files": str(result.folder),
        "runs": without_user(uri) if is_server(uri) else f"sweeper ui{where}",
    }
    with outliving_its_reader():
        print_results(result.standings, places, where)
        if result.message:
            say(result.message)
        if result.state != "finished":
            file = shlex.quote(str(result.folder / "sweep.yaml"))
            say(f"go on    sweeper run {file}{where}")


def print_results(standings: Standings, places: Mapping[str, str], flag: str) -> None:
    """The best trials, whether they beat the base, where things lie, how to look closer with a
    command that is given `flag`."""
    name = standings.sweep.name
    say("")
    print_leaderboard(standings, 5)
    say("")
    if verdict := verdict_in_words(standings):
        say(f"verdict  {verdict}")
    for what, place in places.items():
        say(f"{what:<8} {place}")
    say(f"trials   sweeper top {name}{flag}; sweeper show {name} NUMBER{flag}")
    for trial in standings.trials:
        if trial.final is not None:
            values = ", ".join(f"{key} {value:.4g}" for key, value in trial.final.metrics.items())
            what = scored_as(standings, trial.number)
            say(f"final    trial {trial.name}, {what}, on fresh noise: {values}")
