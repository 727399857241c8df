"""Two to six sweeps or trials side by side: what differs, and their curves where these may meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from sweeper.protocols import alike
from sweeper.report.scales import scale_of
from sweeper.service.actions.looking import entry_named, reading_of, trial_of
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages import addresses
from sweeper.service.pages.configuration import Row, compared
from sweeper.service.pages.rendering import as_json, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.service.state import sweeps
from sweeper.standings.verdict import verdict_in_words
from sweeper.trial import Trial
from sweeper.wording import better, changes_in_words, measure, number, spread

router = new_router()

MOST = 6
Names = Annotated[list[str], Query(max_length=20)]


@dataclass(frozen=True)
class Side:
    """One of those that are compared: a trial, or the winner of a sweep."""

    name: str
    address: str
    reading: Reading
    trial: Trial | None
    facts: dict[str, str]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that is set beside the others."""
        return dict(self.trial.config if self.trial else self.reading.standings.sweep.base)

    @property
    def protocol(self) -> Mapping[str, str]:
        """How its values were measured; empty while there are none."""
        return self.trial.protocol if self.trial else {}


@router.get("/compare")
def compare(
    request: Request,
    service: CurrentService,
    sweep: Names = [],  # noqa: B006 - FastAPI copies it
    trial: Names = [],  # noqa: B006
) -> Response:
    """The table, and above it the curves."""
    sides = _sides(service, sweep, trial)
    apart = _apart(sides)
    rows: list[Row] = compared([side.config for side in sides]) if len(sides) > 1 else []
    with service.database.reading() as session:
        names = sweeps.names(session)
    return page(
        request,
        "compare.html",
        sides=sides,
        chosen={"sweep": sweep, "trial": trial},
        facts=list(dict.fromkeys(fact for side in sides for fact in side.facts)),
        rows=rows,
        apart=apart,
        names=names,
        most=MOST,
    )


@router.get("/compare/chart")
def chart(
    service: CurrentService,
    sweep: Names = [],  # noqa: B006
    trial: Names = [],  # noqa: B006
) -> Response:
    """The curves of the first objective over one another."""
    sides = [side for side in _sides(service, sweep, trial) if side.trial is not None]
    if _apart(sides) or not sides:
        return as_json({"metric": "", "better": "", "scale": None, "steps": [], "lines": []})
    standings = sides[0].reading.standings
    metric = standings.metrics[0]
    curves = [(side.name, side.trial.curve(metric)) for side in sides if side.trial]
    steps = sorted({step for _, curve in curves for step in curve})
    scale = scale_of(value for _, curve in curves for value in curve.values())
    lines = [{"name": n, "values": [c.get(step) for step in steps]} for n, c in curves if c]
    return as_json(
        {
            "metric": measure(metric),
            "better": better(standings.goal),
            "scale": scale._asdict() if scale else None,
            "steps": steps,
            "lines": lines,
        }
    )


def _sides(service: Service, names: list[str], trials: list[str]) -> list[Side]:
    """Those that were asked for, `trials` as `SWEEP/NUMBER`.

    Raises:
        Refusal: they are too many, or one is not there.
        UnknownSweep: there is none of a name.
    """
    if len(names) + len(trials) > MOST:
        raise Refusal(422, "too-many", f"Two to {MOST} sweeps or trials can be compared.")
    sides = [_of_sweep(service, name) for name in names if name]
    for named in trials:
        sweep, _, text = named.rpartition("/")
        if not sweep or not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Refusal(422, "invalid", f"{named!r} names no trial: expected SWEEP/NUMBER")
        sides.append(_of_trial(service, sweep, int(text)))
    return sides


def _of_sweep(service: Service, name: str) -> Side:
    entry = entry_named(service, name)
    reading = reading_of(service, entry)
    standings = reading.standings
    best = standings.best
    facts = {
        "state": entry.lease.state,
        "owner": entry.owner.name,
        "trials": f"{len(standings.trials):,}",
        "winner": f"trial {best.trial.name}" if best else "none yet",
    }
    if best is not None:
        score = best.confirmed
        if score is not None and score.mean is not None:
            seeds = f"{spread(score.mean, score.deviation)} ({score.count})"
            which = "its seeds" if standings.sweep.is_ablation else "fresh seeds"
            facts[f"{measure(standings.metrics[0])}, {which}"] = seeds
        facts[f"{measure(standings.metrics[0])}, search"] = number(best.own_value)
    if verdict := verdict_in_words(standings, measure):
        facts["against its base"] = verdict
    saved = standings.steps_saved
    facts["steps saved"] = f"{saved:,} of {standings.steps_planned:,}"
    trial = best.trial if best else None
    return Side(entry.sweep.name, addresses.sweep(entry.sweep.name), reading, trial, facts)


def _of_trial(service: Service, name: str, number_of: int) -> Side:
    entry = entry_named(service, name)
    trial = trial_of(service, entry, number_of)
    reading = reading_of(service, entry)
    standings = reading.standings
    facts = {"state": trial.state + (f": {trial.cause}" if trial.cause else "")}
    for index, metric in enumerate(standings.metrics):
        facts[measure(metric)] = number(standings.final(trial, index))
    facts["best on the way"] = number(standings.best_on_the_way(trial))
    facts["steps"] = f"{trial.steps:,}"
    title = f"{entry.sweep.name} {trial.name}"
    return Side(title, addresses.trial(entry.sweep.name, trial.number), reading, trial, facts)


def _apart(sides: list[Side]) -> str:
    """Why their values cannot stand in one chart; empty where they can."""
    measured = [side for side in sides if side.protocol]
    for side in measured[1:]:
        first = measured[0]
        if side.reading.standings.metrics[0] != first.reading.standings.metrics[0]:
            return f"{first.name} and {side.name} have different objectives"
        if not alike(first.protocol, side.protocol):
            changes = changes_in_words(first.protocol, side.protocol)
            return f"{first.name} and {side.name} were measured differently: {changes}"
    return ""
