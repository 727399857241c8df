"""Trials: list, look, curves, pictures, whole records; stop, retry, enqueue."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from sweeper.client.group import Group, sweep_path, trial_path
from sweeper.client.streams import resumed
from sweeper.service.api.shapes_records import RecordsHead
from sweeper.service.api.shapes_sweeps import OrderShape
from sweeper.service.api.shapes_trials import (
    CurvesShape,
    SamplesShape,
    TrialDetail,
    TrialPage,
    TrialShape,
)
from sweeper.trial import Role, Trial, TrialState

LOG = 100_000
"""Lines of a log that a server gives at most."""


@dataclass(frozen=True)
class Records:
    """What the study of a sweep says: its trials as every room of the program knows them."""

    head: RecordsHead
    trials: tuple[Trial, ...]


class Trials(Group):
    """The trials of a server's sweeps."""

    def list(
        self,
        name: str,
        *,
        state: Sequence[TrialState] = (),
        role: Sequence[Role] = (),
        sort: str = "number",
        descending: bool = False,
    ) -> Iterator[TrialShape]:
        """The trials of a sweep, asked for page by page; by `number`, `rank`, `value` or
        `reached`."""
        asked: dict[str, Any] = {"state": [*state], "role": [*role], "sort": sort, "limit": 500}
        return self._http.pages(
            f"{sweep_path(name)}/trials", TrialPage, **asked, descending=descending
        )

    def get(self, name: str, number: int) -> TrialDetail:
        """One trial, all of it.

        Raises:
            UnknownSweep: there is no such sweep.
            UserError: it has no such trial.
        """
        return self._http.get(trial_path(name, number), TrialDetail)

    def records(
        self,
        name: str,
        *,
        number: Sequence[int] = (),
        above: int | None = None,
        whole: bool = True,
    ) -> Records:
        """The study's own records; of all trials, or of those in `number` and `above` a number.
        Without `whole` only the last evaluation of each is complete, and of those before it is told
        when they were.

        Raises:
            UnknownSweep: there is no such sweep.
        """
        params = {"number": [*number], "above": above, "whole": whole}
        path = f"{sweep_path(name)}/records"
        return self._records(self._http.send("GET", path, params=params, again=True))

    def curves(
        self, name: str, *, metric: Sequence[str] = (), number: Sequence[int] = ()
    ) -> CurvesShape:
        """Measures over steps, of many trials at once."""
        params = {"metric": [*metric], "number": [*number]}
        return self._http.get(f"{sweep_path(name)}/curves", CurvesShape, **params)

    def samples(self, name: str, number: int) -> builtins.list[int]:
        """The steps of which there are pictures of samples."""
        return self._http.get(f"{trial_path(name, number)}/samples", SamplesShape).steps

    def picture(self, name: str, number: int, step: int) -> bytes:
        """The picture of samples of one step, as PNG."""
        path = f"{trial_path(name, number)}/samples/{step:d}"
        return self._http.content(path)

    def file(self, name: str, number: int) -> str:
        """The sweep's file with this trial's configuration for its base, as YAML."""
        path = f"{trial_path(name, number)}/file"
        return self._http.content(path).decode()

    def log(
        self, name: str, number: int, *, tail: int | None = None, follow: bool = False
    ) -> Iterator[str]:
        """The last `tail` lines of a trial's log, by default all of it; with `follow`, then what is
        added to it, until the trial is over."""
        path, params = f"{trial_path(name, number)}/log", {"tail": LOG if tail is None else tail}
        if not follow:
            text = self._http.content(path, **params).decode()
            yield from text.removesuffix("\n").split("\n") if text else ()
            return
        for sent in resumed(self._http, path, params):
            if sent.event == "end":
                return
            if sent.data is not None:
                yield sent.data

    def stop(self, name: str, number: int, reason: str = "") -> OrderShape:
        """End a trial; the study is told as of one that was pruned, with the reason."""
        path = f"{trial_path(name, number)}:stop"
        return self._http.ask("POST", path, OrderShape, body={"reason": reason})

    def retry(self, name: str, number: int, *, anew: bool = False) -> OrderShape:
        """Try a failed trial again, from its last checkpoint or from nothing."""
        path = f"{trial_path(name, number)}:retry"
        return self._http.ask("POST", path, OrderShape, body={"anew": anew})

    def enqueue(self, name: str, values: Mapping[str, Any]) -> OrderShape:
        """Have a configuration of one's own run: values by dotted path."""
        path = f"{sweep_path(name)}/trials:enqueue"
        return self._http.ask("POST", path, OrderShape, body={"values": dict(values)})

    def orders(self, name: str) -> builtins.list[OrderShape]:
        """What was asked of a sweep's trials, and how it went."""
        return self._http.get(f"{sweep_path(name)}/orders", builtins.list[OrderShape])

    def _records(self, answer: httpx.Response) -> Records:
        first, *rest = answer.content.split(b"\n")
        head = self._http.parse(first, RecordsHead)
        try:
            return Records(head, tuple(Trial.from_dict(json.loads(line)) for line in rest if line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._http.strange() from error
