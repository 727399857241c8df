"""`run` on a server: submit, then follow like a run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeper.cli.following import Follower
from sweeper.cli.live import view
from sweeper.cli.options import print_json
from sweeper.cli.printing import say
from sweeper.cli.remote import ServerSource, standings_from
from sweeper.cli.run_summary import print_results
from sweeper.errors import SpecConflict, Unreachable
from sweeper.scheduling.recording.events import Listener, SweepEnded
from sweeper.service.pages import addresses
from sweeper.standings import Standings
from sweeper.standings.against_base import against_base
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile.document import read_text

INTERRUPTED = 130

PATIENCE = 600.0
"""Seconds for a server that is away to come back: the sweep goes on meanwhile."""


def run_on_server(
    source: ServerSource,
    file: Path,
    *,
    overrides: Sequence[str],
    retry_failed: Sequence[str],
    accept_protocol: bool,
    detach: bool,
    json: bool,
) -> int:
    """Submit a sweep file and follow the sweep to its end; the exit status."""
    client = source.client
    try:
        made = client.sweeps.submit(
            read_text(file),
            overrides=overrides,
            retry_failed=retry_failed,
            accept_protocol=accept_protocol,
            filename=str(file),
        )
    except SpecConflict as error:
        again = f"`sweeper resume NAME{source.flag}` continues an existing sweep"
        raise SpecConflict(f"{error.message}; {again}") from error
    page = client.address + addresses.sweep(made.name)
    if detach:
        print_json(made.model_dump()) if json else say(f"{made.name}: submitted; {page}")
        return 0
    say(f"{made.name}: submitted; {page}", err=json)
    return _follow(source, made.name, page, json)


def _follow(source: ServerSource, name: str, page: str, json: bool) -> int:
    client, flag = source.client, source.flag
    goes_on = (
        f"{name} continues at {client.address}: `sweeper status {name}{flag}` shows its progress, "
        f"`sweeper cancel {name}{flag}` ends it"
    )
    try:
        sweep = standings_from(client.trials.records(name, whole=False)).sweep
        with view(sweep, quiet=json, follows=True) as listener:
            end = _listen(Follower(client, name), listener)
        records = client.trials.records(name)
    except KeyboardInterrupt:
        say(f"\n{goes_on}", err=True)
        return INTERRUPTED
    except Unreachable:
        say(goes_on, err=True)
        raise
    standings = standings_from(records)
    if json:
        places = {"folder": records.head.folder, "report": page}
        print_json({"state": end.state, "message": end.message, **places, **_results(standings)})
    else:
        print_results(standings, {"report": page, "runs": f"{client.address}/mlflow"}, flag)
        if end.message:
            say(end.message)
        if end.state != "finished":
            say(f"go on    sweeper resume {name}{flag}")
    return 1 if end.state in ("failed", "incomplete") else 0


def _listen(follower: Follower, listener: Listener) -> SweepEnded:
    for event in follower.events():
        listener(event)
        if isinstance(event, SweepEnded):
            return event
    raise AssertionError("the last event of a sweep is its end")


def _results(standings: Standings) -> dict[str, Any]:
    """What `SweepResult.as_dict` says of the same standings."""
    best, compared = standings.best, against_base(standings)
    return {
        "best": best.trial.as_dict() if best else None,
        "verdict": verdict_in_words(standings),
        "against_base": compared.as_dict() if compared else None,
        "trials": [trial.as_dict() for trial in standings.trials],
    }
