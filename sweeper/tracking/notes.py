"""The note on a run's page in MLflow: what this was and what came of it, for a human reader."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.sweepfile.domains import Toggle
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial

SERVICE_VARIABLE = "SWEEPER_SERVICE"
"""Environment variable with the address at which people find the service that runs a driver."""

_OUTCOME = {
    "running": "is running",
    "completed": "completed",
    "pruned": "was stopped early",
    "failed": "failed",
    "interrupted": "was interrupted and can go on",
    "retrying": "will be tried again",
    "moved": "moves to another machine",
}


class Seen(NamedTuple):
    """A symptom that set in at a step: what was seen, what it means, what may help."""

    name: str
    step: int
    note: str
    meaning: str
    advice: str


def trial_note(
    *,
    number: int,
    sweep: str,
    state: str = "running",
    steps: int | None = None,
    metric: str = "",
    value: float | None = None,
    values: Mapping[str, Any] | None = None,
    of: int | None = None,
    cause: str | None = None,
    meaning: str = "",
    reason: str | None = None,
    advice: str = "",
    log_tail: str = "",
    seen: Sequence[Seen] = (),
    page: str | None = None,
) -> str:
    """Markdown about one trial.

    `values` are the searched parameters by dotted path, `value` the objective `metric` as it
    stands, `of` the trial whose configuration this one repeats on another seed, `meaning` what
    its cause is in words, `reason` the numbers behind it, `advice` what the literature suggests,
    `seen` the symptoms that did not end it, `page` the address of its page.
    """
    outcome = f"**Trial {number:05d}** of the sweep `{sweep}` {_OUTCOME[state]}"
    if steps is not None:
        outcome += f" at step {steps}"
    if value is not None:
        outcome += f" with {metric} {value:.4g}"
    lines = [f"{outcome}."]
    if of is not None:
        lines.append(f"It repeats the configuration of trial {of:05d} on another seed.")
    if cause:
        lines.append(f"Cause: **{cause}**." + (f" {meaning}" if meaning else ""))
    if reason:
        lines.append(reason)
    if advice:
        lines.append(f"What may help: {advice}")
    for sighting in seen:
        line = f"Seen at step {sighting.step}: **{sighting.name}**. {sighting.meaning}"
        lines.append(f"{line} {sighting.note}".strip())
        if sighting.advice:
            lines.append(f"What may help: {sighting.advice}")
    if values:
        rows = "\n".join(f"| `{path}` | `{shown}` |" for path, shown in values.items())
        lines.append(f"| searched parameter | value |\n|---|---|\n{rows}")
    if log_tail:
        lines.append(f"Last lines of the log:\n\n```\n{log_tail}\n```")
    if page:
        lines.append(in_markdown(page))
    return "\n\n".join(lines)


def sweep_note(
    sweep: Sweep, *, found: str = "", winner: Trial | None = None, page: str | None = None
) -> str:
    """Markdown about a whole sweep, for its own run and its experiment: what it is, what it has
    found or how it ended, and by what words its runs are found."""
    goals = ", ".join(f"{one.goal} {one.metric}" for one in sweep.objective)
    what = f"Search by {sweep.search.name}"
    if sweep.ablation is not None:
        what = f"Ablation, design {sweep.ablation.part.key}"
        if winner is not None and not found:
            found = f"Best cell: {winner.cell}"
    first, *rest = found.split("\n\n") if found else [sweep.description or what]
    rows = "\n".join(f"| {shown} | `{text}` |" for shown, text in _filters(sweep, winner).items())
    paragraphs = (
        # MLflow shows the first line where it has folded the rest.
        f"{first.rstrip('.')}. *Views*, above the runs, shows all trials.",
        *rest,
        sweep.description if found else "",
        f"**{what}**, objective: {goals}. The run `{sweep.name}` is the sweep itself, with what "
        "came of it; the trials are runs below it.",
        f"| to find | type into the search box |\n|---|---|\n{rows}",
        in_markdown(page),
    )
    return "\n\n".join(filter(None, paragraphs))


def _filters(sweep: Sweep, winner: Trial | None) -> dict[str, str]:
    """What readers look for in this sweep → MLflow's filter for it.

    Names stand in double quotes, since backticks would end Markdown's code.
    """
    found = {}
    if sweep.is_ablation and winner is not None:
        found["the best cell, on all of its seeds"] = f"tags.\"sweeper.cell\" = '{winner.cell}'"
    if not sweep.is_ablation:
        found["the trials of the search"] = "tags.\"sweeper.role\" = 'search'"
        found["the base configuration"] = "tags.\"sweeper.role\" = 'base'"
        if winner is not None:
            found["the winner"] = f"tags.\"sweeper.trial\" = '{winner.name}'"
        if winner is not None and sweep.seeds.confirm_top:
            found["the winner on fresh seeds"] = f"tags.\"sweeper.of\" = '{winner.name}'"
    toggle = next((one.path for one in sweep.parameters if isinstance(one.domain, Toggle)), None)
    if toggle is not None:
        found[f"`{toggle}` is on"] = f"params.\"{toggle}\" = 'True'"
    found["one seed"] = "params.seed = '0'"
    return found


def page_of(sweep: str, number: int | None = None) -> str | None:
    """Where the service that runs this sweep shows it, or one of its trials; None where none does.

    The service tells its drivers its own address.
    """
    address = os.environ.get(SERVICE_VARIABLE, "").rstrip("/")
    if not address:
        return None
    return f"{address}/sweeps/{sweep}" + ("" if number is None else f"/trials/{number}")


def in_markdown(page: str | None) -> str:
    """A link to a page of the service; empty where there is none."""
    return f"[The sweep service's page on it]({page})" if page else ""
