"""Lists by the page: a cursor says where the last page ended, and is nobody's business else."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from sweeper.service.problem import Fault, Refusal

Item = TypeVar("Item")

Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="Where to go on: `next` of the page before."),
]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Descending = Annotated[bool, Query(description="From the last to the first.")]


def cursor_after(sort: str, *key: Any) -> str:
    """The cursor of what comes after the item that is sorted by this key."""
    return base64.urlsafe_b64encode(json.dumps([sort, *key]).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, sort: str, kinds: Sequence[type]) -> tuple[Any, ...] | None:
    """The key that `cursor_after` was given for a list in the same order; None without a cursor.

    Raises:
        Refusal: it is no cursor of such a list; status 422.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        told, *key = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_"))
        good = told == sort and len(key) == len(kinds)
        if good and all(map(_is_one, key, kinds)):
            return tuple(key)
    except (ValueError, TypeError, RecursionError):
        pass
    fault = Fault(
        where="query.cursor", what="is not a cursor of this list", expected="`next` of it"
    )
    raise Refusal(422, "invalid", "The cursor is not one of this list.", problems=[fault])


def page_of(
    items: Iterable[Item],
    key: Callable[[Item], tuple[Any, ...]],
    *,
    after: tuple[Any, ...] | None,
    limit: int,
    descending: bool = False,
) -> tuple[list[Item], tuple[Any, ...] | None]:
    """The `limit` items after a key, in order, and the key after which the next page begins."""
    ordered = sorted(items, key=key, reverse=descending)
    if after is not None:
        ordered = [
            item for item in ordered if (key(item) < after if descending else key(item) > after)
        ]
    page = ordered[:limit]
    return page, key(page[-1]) if len(ordered) > limit else None


def _is_one(value: Any, kind: type) -> bool:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if kind is int:  # what a database holds
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53
    return isinstance(value, kind) and "\0" not in str(value)
