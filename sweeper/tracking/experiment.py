"""A sweep as an experiment in MLflow: a note on its page, and views of it that people can open.

MLflow's page of an experiment begins with the sweep's own run, its trials folded below it, and no
column of numbers. A saved view ("Views" on that page) has the columns that matter, every trial
unfolded, the best first: `view_address` leads there. What a view is stored as was read in MLflow
3.17; where another version knows nothing of it, the page opens as it always does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sweeper.sweepfile.model import Sweep
from sweeper.tracking.descriptions import described, is_somebodys
from sweeper.tracking.limits import MAX_EXPERIMENT_TAG, cut
from sweeper.tracking.names import STATE_TAG

KIND_TAG = "mlflow.experimentKind"
"""Without it MLflow guesses from what it finds whether these are runs of models or of prompts."""
PRIMARY_TAG = "mlflow.experiment.primaryMetric.name"
VIEW_PREFIX = "mlflow.sharedViewState."

TRIALS_VIEW = "sweeper-trials"
SEEDS_VIEW = "sweeper-seeds"
CELLS_VIEW = "sweeper-cells"

_MOST_COLUMNS = 24


def experiment_tags(sweep: Sweep, note: str) -> dict[str, str]:
    """Everything that the experiment of a sweep is tagged with."""
    views = {VIEW_PREFIX + name: text for name, text in _views(sweep)}
    return {
        KIND_TAG: "custom_model_development",
        PRIMARY_TAG: sweep.objective[0].metric,
        **described(cut(note, MAX_EXPERIMENT_TAG)),
        **views,
    }


def tags_due(wanted: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Those to be written where `present` are there: what a person has written stays.

    The kind and the metric are ours while they are missing.
    """
    due = {key: text for key, text in wanted.items() if present.get(key) != text}
    for key in (KIND_TAG, PRIMARY_TAG):
        if key in present:
            due.pop(key, None)
    if is_somebodys(present):
        for key in described(""):
            due.pop(key, None)
    return due


def view_address(experiment: str, view: str) -> str:
    """The page of an experiment as a saved view has it, below where MLflow's pages are found."""
    return f"#/experiments/{quote(experiment)}/runs?viewStateShareKey={view}"


def first_view_in(tags: str) -> str:
    """The view to begin with among tags of an experiment, as JSON; empty without one."""
    names = (
        key.removeprefix(VIEW_PREFIX)
        for key in json.loads(tags or "{}")
        if key.startswith(VIEW_PREFIX)
    )
    return next(names, "")


def _views(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """(name, what MLflow keeps of it) of every saved view."""
    metric = sweep.objective[0].metric
    if sweep.is_ablation:
        title = f"Cells: {metric}, mean over seeds"
        yield CELLS_VIEW, _view(sweep, title, "tags.`sweeper.role` = 'cell'", "sweeper.cell")
        return
    seen = "tags.`sweeper.role` != 'confirmation'"
    yield TRIALS_VIEW, _view(sweep, f"Trials, best {metric} first", seen)
    if sweep.seeds.confirm_top:
        title = f"Fresh seeds: {metric} by configuration"
        yield SEEDS_VIEW, _view(sweep, title, "tags.`sweeper.role` = 'confirmation'", "sweeper.of")


def _view(sweep: Sweep, title: str, search: str, group: str | None = None) -> str:
    objectives = [objective.metric for objective in sweep.objective]
    columns = [f"metrics.`{metric}`" for metric in objectives]
    if group is None:
        # What a trial had when it was stopped is no final value.
        columns += [*(f"metrics.`best/{metric}`" for metric in objectives), f"tags.`{STATE_TAG}`"]
    paths = ["seed", *(parameter.path for parameter in sweep.parameters)]
    columns += [f"params.`{path}`" for path in dict.fromkeys(paths)]
    state: dict[str, Any] = {
        "searchFilter": search,
        "orderByKey": f"metrics.`{objectives[0]}`",
        "orderByAsc": sweep.objective[0].goal == "minimize",
        "selectedColumns": columns[:_MOST_COLUMNS],
    }
    if group is not None:
        keys = [{"mode": "tag", "groupByData": group}]
        state["groupBy"] = {"aggregateFunction": "average", "groupByKeys": keys}
    text = _envelope(title, state)
    while len(text) > MAX_EXPERIMENT_TAG:  # paths of a search may be long
        state["selectedColumns"].pop()
        text = _envelope(title, state)
    return text


def _envelope(title: str, state: Mapping[str, Any]) -> str:
    # A fixed time: what is said again must be the same to the letter.
    return json.dumps({"name": title, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})
