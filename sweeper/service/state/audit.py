"""Who did what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sweeper.service.state.accounts import Caller
from sweeper.service.state.tables import Audit


def note(
    session: Session,
    caller: Caller | None,
    action: str,
    target: str = "",
    *,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write down that somebody did `action` to `target`; no caller is the machine's own admin."""
    session.add(
        Audit(
            time=time.time(),
            person=caller.person.name if caller else "",
            token_id=caller.token.id if caller else None,
            address=caller.address if caller else "",
            action=action,
            target=target,
            detail=dict(detail or {}),
        )
    )


def entries(session: Session, *, before: int | None = None, limit: int = 100) -> list[Audit]:
    """The last ones, newest first; those `before` a number."""
    chosen = select(Audit).order_by(Audit.id.desc()).limit(limit)
    return list(session.scalars(chosen.where(Audit.id < before) if before else chosen))
