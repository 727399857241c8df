"""Sweeps: submit, list, look, change, steer, delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweeper.client.drafts import YAML, draft_of
from sweeper.client.group import Group, sweep_path
from sweeper.service.api.shapes_sweeps import (
    SubmittedShape,
    SweepDetail,
    SweepPage,
    SweepShape,
)
from sweeper.service.states import Priority, SweepState


class Sweeps(Group):
    """Every sweep of a server; each may be named by its name or its id."""

    def submit(
        self,
        file: str | Mapping[str, Any],
        *,
        overrides: Sequence[str] = (),
        priority: Priority = "normal",
        retry_failed: Sequence[str] = (),
        accept_protocol: bool = False,
        filename: str = "",
    ) -> SubmittedShape:
        """Put a sweep into the queue: the text of a sweep file, or a mapping of what would stand in
        one, with `overrides` (`limits.trials=5`) laid over it. `filename` is what its problems call
        it.

        Raises:
            SpecError: the file is wrong; every problem has its line.
            SpecConflict: there is a sweep of its name.
        """
        draft = draft_of(file, overrides, filename)
        params = {"priority": priority, "retry_failed": [*retry_failed]}
        with draft.explained():
            return self._http.ask(
                "POST",
                "/sweeps",
                SubmittedShape,
                params={**params, "accept_protocol": accept_protocol},
                content=draft.content,
                media_type=YAML,
                once=True,
                file=filename,
            )

    def list(
        self,
        *,
        state: Sequence[SweepState] = (),
        owner: str = "",
        text: str = "",
        sort: str = "created",
        descending: bool = True,
    ) -> Iterator[SweepShape]:
        """Sweeps, the newest first, asked for page by page."""
        asked = {"state": list(state), "owner": owner, "text": text, "sort": sort}
        return self._http.pages("/sweeps", SweepPage, **asked, descending=descending, limit=200)

    def get(self, name: str) -> SweepDetail:
        """One sweep.

        Raises:
            UnknownSweep: there is none.
        """
        return self._http.get(sweep_path(name), SweepDetail)

    def file(self, name: str) -> str:
        """Its sweep file, as YAML."""
        return self._http.content(f"{sweep_path(name)}/file").decode()

    def change(
        self,
        name: str,
        *,
        limits: Mapping[str, Any] | None = None,
        priority: Priority | None = None,
        description: str | None = None,
    ) -> SweepDetail:
        """Change what is given; a limit of None is taken away."""
        asked = {"limits": limits, "priority": priority, "description": description}
        body = {key: value for key, value in asked.items() if value is not None}
        return self._http.ask("PATCH", sweep_path(name), SweepDetail, body=body)

    def extend(self, name: str, **limits: float) -> SweepDetail:
        """Raise limits (`trials=50`), and go on where they had ended it.

        Raises:
            SpecError: no limit is given, or one that is no higher than it was.
        """
        return self._http.ask("POST", f"{sweep_path(name)}:extend", SweepDetail, body=limits)

    def pause(self, name: str) -> SweepDetail:
        """Start no new trials; those that run go on."""
        return self._http.ask("POST", f"{sweep_path(name)}:pause", SweepDetail)

    def resume(
        self, name: str, *, retry_failed: Sequence[str] = (), accept_protocol: bool = False
    ) -> SweepDetail:
        """Go on with a sweep that was paused or has ended."""
        params = {"retry_failed": list(retry_failed), "accept_protocol": accept_protocol}
        return self._http.ask("POST", f"{sweep_path(name)}:resume", SweepDetail, params=params)

    def stop(self, name: str) -> SweepDetail:
        """End a sweep when its running trials have ended."""
        return self._http.ask("POST", f"{sweep_path(name)}:stop", SweepDetail)

    def cancel(self, name: str) -> SweepDetail:
        """End a sweep now; running trials keep their checkpoints."""
        return self._http.ask("POST", f"{sweep_path(name)}:cancel", SweepDetail)

    def fork(
        self,
        name: str,
        new: str,
        *,
        trial: int | None = None,
        overrides: Sequence[str] = (),
        priority: Priority = "normal",
    ) -> SubmittedShape:
        """Submit a sweep called `new` that is made of this one's file; with `trial`, with its
        configuration for the base."""
        place = "" if trial is None else f"/trials/{trial:d}"
        body = {"name": new, "set": list(overrides), "priority": priority}
        path = f"{sweep_path(name)}{place}:fork"
        return self._http.ask("POST", path, SubmittedShape, body=body, once=True)

    def delete(self, name: str) -> None:
        """Delete a sweep with all that it has left."""
        self._http.ask("DELETE", sweep_path(name), type(None))
