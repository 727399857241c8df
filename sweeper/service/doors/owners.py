"""Whose runs a write to MLflow is about: an experiment that has a sweep's name is the sweep's.

MLflow knows no owners. Everybody sees every run; those of a sweep are changed by its owner, by
admins, and by its driver, which does not come through here. What nobody's sweep has made is
everybody's.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from sweeper.errors import UnknownSweep
from sweeper.service.people.permission import check_change
from sweeper.service.problem import Refusal
from sweeper.service.state import sweeps
from sweeper.service.state.accounts import Caller
from sweeper.service.state.database import Database
from sweeper.tracking.writes import Subjects

KEPT = 10_000
"""Runs, models and experiments that are remembered."""

FRESH = 30.0
"""Seconds for which an experiment is believed to have the name that it had."""

MOST = 8
LONGEST = 256
"""Ids that a write may name, and characters of one: MLflow is asked about each. No write of its
own takes a list of them; what names two (a run and the one that it comes from) is among these."""

K = TypeVar("K")
V = TypeVar("V")

Ask = Callable[[str, dict[str, str]], Awaitable[Any]]
"""(path, query) → MLflow's answer to a GET; None where there is no such thing."""


class Owners:
    """Remembers which experiment what belongs to, and what that is called."""

    def __init__(self, ask: Ask, database: Database) -> None:
        self._ask = ask
        self._database = database
        self._places: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._names: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def check(self, caller: Caller, subjects: Subjects) -> None:
        """See that the caller may change all of it.

        Raises:
            Refusal: some of it is somebody else's; it is about more than MLflow takes; MLflow
                cannot be asked.
        """
        if caller.is_admin:
            return
        _check_ids([*subjects.experiments, *subjects.runs, *subjects.models])
        experiments = set(subjects.experiments)
        for kind, ids in (("run", subjects.runs), ("model", subjects.models)):
            for one in ids:
                experiments.add(await self._place(kind, one))
        names = [await self._name(one) for one in experiments if one]
        await run_in_threadpool(self._check, caller, [name for name in names if name])

    def _check(self, caller: Caller, names: Iterable[str]) -> None:
        with self._database.reading() as session:
            for name in names:
                try:
                    entry = sweeps.entry_named(session, name)
                except UnknownSweep:
                    continue
                check_change(caller, entry)

    async def _place(self, kind: str, one: str) -> str:
        """Id of the experiment that a run or a model belongs to; empty where there is none."""
        key = (kind, one)
        if key not in self._places:
            if kind == "run":
                found = await self._ask("/api/2.0/mlflow/runs/get", {"run_id": one})
            else:
                found = await self._ask(f"/api/2.0/mlflow/logged-models/{one}", {})
            experiment = _told(found, kind, "info", "experiment_id")
            if not experiment:
                return ""
            _keep(self._places, key, experiment)
        return self._places[key]

    async def _name(self, experiment: str) -> str:
        seen, name = self._names.get(experiment, (float("-inf"), ""))
        if time.monotonic() - seen < FRESH:
            return name
        query = {"experiment_id": experiment}
        found = await self._ask("/api/2.0/mlflow/experiments/get", query)
        name = _told(found, "experiment", "name")
        if name:
            _keep(self._names, experiment, (time.monotonic(), name))
        return name


def _check_ids(ids: Sequence[str]) -> None:
    if len(ids) > MOST or any(len(one) > LONGEST or not one.isprintable() for one in ids):
        title = f"A write names at most {MOST} ids of {LONGEST} printable characters at most."
        raise Refusal(400, "invalid", title)


def _told(answer: Any, *keys: str) -> str:
    """What an answer of MLflow's has below these keys; empty where it has nothing there."""
    for key in keys:
        answer = answer.get(key) if isinstance(answer, Mapping) else None
    return str(answer or "")


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)
