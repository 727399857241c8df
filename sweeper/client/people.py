"""Who asks, and everybody's tokens; for admins people, quotas, and who did what."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sweeper.client.group import Group
from sweeper.service.api.shapes_people import (
    DeedPage,
    DeedShape,
    MadeShape,
    MeShape,
    PersonShape,
    ScopeWord,
    TokenShape,
)


class People(Group):
    """The people of a server. What is another's is for admins."""

    def me(self) -> MeShape:
        """Who asks, and what their token may."""
        return self._http.get("/me", MeShape)

    def tokens(self, person: str | None = None) -> builtins.list[TokenShape]:
        """One's own tokens, or another's."""
        return self._http.get("/tokens", builtins.list[TokenShape], person=person)

    def make_token(
        self,
        name: str,
        scope: ScopeWord = "read",
        *,
        days: float | None = None,
        person: str | None = None,
    ) -> MadeShape:
        """A new token, one's own or another's; what it says is in the answer and nowhere else."""
        body = {"name": name, "scope": scope, "days": days, "person": person}
        return self._http.ask("POST", "/tokens", MadeShape, body=body)

    def revoke_token(self, identifier: str) -> None:
        """Have a token open nothing from now on."""
        self._http.ask("DELETE", f"/tokens/{quote(identifier, safe='')}", type(None))

    def list(self) -> builtins.list[PersonShape]:
        """Everybody, with weights, quotas and use."""
        return self._http.get("/people", builtins.list[PersonShape])

    def add(self, name: str) -> PersonShape:
        """Somebody new, who has no token yet."""
        return self._http.ask("POST", "/people", PersonShape, body={"name": name})

    def change(self, name: str, **quotas: Any) -> PersonShape:
        """Give somebody another `weight`, or other quotas: `max_parallel`, `max_gpus`,
        `gpu_hours_month`; a quota of None is none."""
        path = f"/people/{quote(name, safe='')}"
        return self._http.ask("PATCH", path, PersonShape, body=quotas)

    def deeds(self) -> Iterator[DeedShape]:
        """Who did what, newest first, asked for page by page."""
        return self._http.pages("/audit", DeedPage)
