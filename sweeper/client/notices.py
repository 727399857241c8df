"""Word to people: subscribe, list, remove, send a word to try."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from urllib.parse import quote

from sweeper.client.group import Group
from sweeper.service.api.shapes_notices import SubscribedShape, SubscriptionShape, TriedShape


class Notices(Group):
    """Where word is sent to the person whose token it is."""

    def list(self) -> builtins.list[SubscriptionShape]:
        """All of them."""
        return self._http.get("/notices", builtins.list[SubscriptionShape])

    def subscribe(
        self, kind: str, target: str, *, occasions: Sequence[str] = (), everyone: bool = False
    ) -> SubscribedShape:
        """Send word by `webhook`, `slack` or `email`; no `occasions` are all. The answer has the
        key of the signatures, which is shown this once."""
        body = {"kind": kind, "target": target, "occasions": [*occasions], "everyone": everyone}
        return self._http.ask("POST", "/notices", SubscribedShape, body=body)

    def remove(self, identifier: str) -> None:
        """Send no more word there."""
        self._http.ask("DELETE", f"/notices/{quote(identifier, safe='')}", type(None))

    def test(self, identifier: str) -> TriedShape:
        """Send a word there now, and say whether it has arrived."""
        return self._http.ask("POST", f"/notices/{quote(identifier, safe='')}:test", TriedShape)
