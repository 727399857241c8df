"""All trials of a sweep, sorted and filtered on the server, a window at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from sweeper.report.leaderboard import searched
from sweeper.service.actions.looking import entry_named, reading_of
from sweeper.service.api.routing import SweepName
from sweeper.service.app import CurrentService
from sweeper.service.pages import addresses
from sweeper.service.pages.rendering import is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.standings import Standings
from sweeper.trial import Trial
from sweeper.wording import measure, setting, short_path

router = new_router()

WINDOW = 100
"""Rows that are sent at once; further ones when a reader comes to the end of these."""


@router.get("/sweeps/{name}/trials")
def trials_page(
    request: Request,
    service: CurrentService,
    name: SweepName,
    q: str = "",
    state: str = "",
    sort: str = "rank",
    down: bool = False,
    first: int = 0,
) -> Response:
    """The table, or the next window of it."""
    entry = entry_named(service, name)
    standings = reading_of(service, entry).standings
    columns = _columns(standings)
    found = [t for t in standings.trials if (not state or t.state == state) and _fits(t, q)]
    ordered = _sorted(found, columns.get(sort, columns["rank"])[1], down)
    first = min(max(first, 0), len(ordered))
    here = f"{addresses.sweep(name)}/trials"
    asked: dict[str, Any] = {"q": q, "state": state}

    def address(**changes: Any) -> str:
        return f"{here}?{urlencode(asked | {'sort': sort, 'down': down} | changes)}"

    rows = ordered[first : first + WINDOW]
    return page(
        request,
        "trials_rows.html" if is_piece(request) and first else "trials.html",
        entry=entry,
        standings=standings,
        columns=columns,
        rows=rows,
        numeric=[k for k, (_, value) in columns.items() if any(_is_number(value(t)) for t in rows)],
        found=len(found),
        first=first,
        window=WINDOW,
        address_of=address,
        here_address=here,
        sort=sort,
        down=down,
        q=q,
        chosen=state,
        states=list(standings.counts),
    )


_Column = tuple[str, Callable[[Trial], Any]]


def _columns(standings: Standings) -> dict[str, _Column]:
    """Key → heading and value of every column."""
    ranks = standings.ranks
    columns: dict[str, _Column] = {
        "rank": ("#", lambda trial: ranks.get(trial.number)),
        "trial": ("trial", lambda trial: trial.number),
        "state": ("state", lambda trial: trial.state),
        "role": ("role", lambda trial: trial.role),
    }
    for index, metric in enumerate(standings.metrics):
        final = f"final{index or ''}"
        columns[final] = (measure(metric), partial(_final, standings, index))
    columns["reached"] = ("best on the way", standings.best_on_the_way)
    columns["steps"] = ("steps", lambda trial: trial.steps)
    columns["seconds"] = ("time", lambda trial: trial.seconds)
    for path in searched(standings):
        columns[path] = (short_path(path), partial(_setting, path))
    return columns


def _final(standings: Standings, index: int, trial: Trial) -> float | None:
    return standings.final(trial, index)


def _setting(path: str, trial: Trial) -> Any:
    return trial.values.get(path)


def _fits(trial: Trial, words: str) -> bool:
    """Whether every word is in a trial's name, cell, cause or settings."""
    if not words.strip():
        return True
    settings = " ".join(f"{short_path(p)}={setting(v)}" for p, v in trial.values.items())
    text = f"{trial.name} {trial.role} {trial.cell or ''} {trial.cause or ''} {settings}"
    return all(word in text.casefold() for word in words.casefold().split())


def _sorted(trials: Sequence[Trial], value: Callable[[Trial], Any], down: bool) -> list[Trial]:
    """By a column; what has no value there goes last either way."""
    given = [(value(trial), trial) for trial in trials]
    numbers = [(v, t) for v, t in given if _is_number(v)]
    texts = [(str(v), t) for v, t in given if v is not None and not _is_number(v)]
    rest = [trial for v, trial in given if v is None]
    numbers.sort(key=lambda pair: (pair[0], pair[1].number), reverse=down)
    texts.sort(key=lambda pair: (pair[0], pair[1].number), reverse=down)
    return [*(t for _, t in numbers), *(t for _, t in texts), *rest]


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and not math.isnan(value)
