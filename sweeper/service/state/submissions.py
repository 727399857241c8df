"""Answers to requests that may be sent twice: the second time, the first answer is given again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from sweeper.errors import SpecConflict
from sweeper.service.state.tables import Person, Submission

KEPT_SECONDS = 7 * 86400
"""How long an answer is remembered."""


def digest(*pieces: str | bytes) -> str:
    """What a request is known by: a hash of everything that it asks."""
    hashed = hashlib.sha256()
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        hashed.update(len(data).to_bytes(8))
        hashed.update(data)
    return hashed.hexdigest()


def answered(session: Session, person: Person, key: str, request: str) -> dict[str, Any] | None:
    """The answer that this request has had; None where it has had none.

    Raises:
        SpecConflict: another request has had this key.
    """
    kept = session.get(Submission, (person.id, key))
    if kept is None:
        return None
    if kept.request != request:
        raise SpecConflict("this Idempotency-Key was another request's: give each one of its own")
    return dict(kept.answer)


def keep(
    session: Session, person: Person, key: str, request: str, answer: Mapping[str, Any]
) -> None:
    """Remember an answer, in the transaction that does what was asked; forget old ones."""
    now = time.time()
    session.execute(delete(Submission).where(Submission.created < now - KEPT_SECONDS))
    session.add(
        Submission(
            person_id=person.id,
            key=key,
            request=request,
            status=201,
            answer=dict(answer),
            created=now,
        )
    )
