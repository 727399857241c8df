"""Sweep files, looked at before they are submitted; and what they may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sweeper.client.drafts import YAML, Draft, draft_of
from sweeper.client.group import Group
from sweeper.client.refusals import problem_of
from sweeper.client.transport import Answer
from sweeper.service.api.shapes_files import (
    CheckedShape,
    PartShape,
    PresetShape,
    PreviewShape,
    TrickShape,
)
from trials.problems import Problem

PROBE_TIMEOUT = 180.0
"""Seconds for a server to time a short training."""


class Files(Group):
    """Files that a server looks at: with its own parts installed, and what it can see of data."""

    def validate(
        self,
        file: str | Mapping[str, Any],
        *,
        overrides: Sequence[str] = (),
        filename: str = "",
    ) -> tuple[CheckedShape, list[Problem]]:
        """How much a file would run, and everything that is wrong with it; as `sweeps.submit`
        takes it.

        Raises:
            SpecError: it cannot be read at all.
        """
        draft = draft_of(file, overrides, filename)
        checked = self._look("validate", CheckedShape, draft, {}, filename)
        faults = [fault.model_dump() for fault in checked.problems]
        return checked, [draft.placed(problem_of(fault, filename)) for fault in faults]

    def preview(
        self,
        file: str | Mapping[str, Any],
        *,
        overrides: Sequence[str] = (),
        count: int = 5,
        probe: bool = False,
        filename: str = "",
    ) -> PreviewShape:
        """The first configurations of a file; with `probe`, a forecast of hours from a short
        training on the server's own machine.

        Raises:
            SpecError: the file is wrong.
        """
        draft = draft_of(file, overrides, filename)
        with draft.explained():
            params = {"count": count, "probe": probe}
            timeout = PROBE_TIMEOUT if probe else None
            return self._look("preview", PreviewShape, draft, params, filename, timeout)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of sweep files, for editors."""
        return self._http.get("/schema", dict[str, Any])

    def parts(self, kind: str = "") -> list[PartShape]:
        """Everything that a sweep file can choose by name, or that of one kind."""
        return self._http.get("/parts", list[PartShape], kind=kind)

    def tricks(self) -> list[TrickShape]:
        """The tricks, with formulas and papers."""
        return self._http.get("/tricks", list[TrickShape])

    def trick(self, name: str) -> TrickShape:
        """One trick."""
        return self._http.get(f"/tricks/{quote(name, safe='')}", TrickShape)

    def presets(self) -> list[PresetShape]:
        """The presets: configurations of papers."""
        return self._http.get("/presets", list[PresetShape])

    def preset(self, name: str) -> PresetShape:
        """One preset."""
        return self._http.get(f"/presets/{quote(name, safe='')}", PresetShape)

    def _look(
        self,
        verb: str,
        shape: type[Answer],
        draft: Draft,
        params: Mapping[str, Any],
        filename: str,
        timeout: float | None = None,
    ) -> Answer:
        return self._http.ask(
            "POST",
            f"/sweeps:{verb}",
            shape,
            params=params,
            content=draft.content,
            media_type=YAML,
            again=True,
            file=filename,
            timeout=timeout,
        )
