"""What the API and the pages offer: subscribe, list, remove, send a word to try."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sweeper.errors import UserError
from sweeper.service.app import Service
from sweeper.service.notices.channel import Channel, Undelivered, Word
from sweeper.service.notices.channels import channels_of
from sweeper.service.notices.occasions import OCCASIONS
from sweeper.service.problem import Refusal
from sweeper.service.state import audit, notices
from sweeper.service.state.accounts import Caller
from sweeper.service.state.tables import Delivery, Subscription
from trials.problems import nearest

PATIENCE = 15.0
"""Seconds for one word to arrive, by a way that does not end by itself."""

TEST_EVERY = 60.0
"""Seconds between two words to try of one subscription."""


@dataclass(frozen=True)
class Listed:
    """A subscription as its owner sees it: no secret, and of an address only its host. `last` is
    the delivery that was last tried, None before any."""

    subscription: Subscription
    target: str
    last: Delivery | None


def subscribe(
    service: Service,
    caller: Caller,
    *,
    kind: str,
    target: str,
    occasions: Sequence[str] = (),
    everyone: bool = False,
) -> tuple[Subscription, str]:
    """Send word of sweeps there from now on: of the caller's own, or of everyone's. No occasions
    are all. The second result is the key of the signatures, shown this once.

    Raises:
        UserError: the kind, the target or an occasion is wrong, or there are too many.
    """
    way = _way(channels_of(service.settings), kind)
    for occasion in occasions:
        _known("occasion", occasion, OCCASIONS)
    way.check(target)
    secret = way.new_secret()
    with service.database.writing() as session:
        subscription = notices.add_subscription(
            session,
            caller.person,
            kind=kind,
            target=target,
            secret=secret,
            occasions=[name for name in OCCASIONS if name in (occasions or OCCASIONS)],
            everyone=everyone,
        )
        audit.note(session, caller, "subscribe", f"{subscription.id} {kind} {way.shown(target)}")
    return subscription, secret


def listed(service: Service, caller: Caller) -> list[Listed]:
    """The caller's subscriptions."""
    with service.database.reading() as session:
        mine = notices.subscriptions_of(session, caller.person)
        last = notices.last_deliveries(session, [one.id for one in mine])
    return [shown(service, one, last.get(one.id)) for one in mine]


def shown(service: Service, subscription: Subscription, last: Delivery | None = None) -> Listed:
    """A subscription as its owner sees it."""
    way = channels_of(service.settings)[subscription.kind]
    return Listed(subscription, way.shown(subscription.target), last)


def unsubscribe(service: Service, caller: Caller, identifier: str) -> None:
    """Send no more word there.

    Raises:
        Refusal: the caller has no such subscription; status 404.
    """
    with service.database.writing() as session:
        mine = _own(notices.subscription_with(session, identifier), caller)
        audit.note(session, caller, "unsubscribe", mine.kind)
        notices.remove_subscription(session, identifier)


async def send_test(service: Service, caller: Caller, identifier: str) -> str:
    """Send a word there now; empty where it has arrived, else why not.

    Raises:
        Refusal: the caller has no such subscription, status 404, or has just tried it, status 429.
    """

    def find() -> Subscription:
        with service.database.reading() as session:
            return _own(notices.subscription_with(session, identifier), caller)

    subscription = await asyncio.to_thread(find)
    _note_test(service.tested, subscription.id)
    word = Word(
        id=uuid.uuid4().hex,
        occasion="test",
        words=f"A word to try, asked for by {caller.person.name}.",
        link=service.settings.address,
        time=time.time(),
        data={},
    )
    way = channels_of(service.settings)[subscription.kind]
    return str(await attempt(way, word, subscription) or "")


async def attempt(way: Channel, word: Word, subscription: Subscription) -> Undelivered | None:
    """Send a word in bounded time; None where it has arrived, else why not."""
    try:
        async with asyncio.timeout(None if way.ends_by_itself else PATIENCE):
            await way.send(word, subscription.target, subscription.secret)
    except TimeoutError:
        return Undelivered(f"no answer within {PATIENCE:g} s")
    except Undelivered as error:
        return error
    except UserError as error:
        return Undelivered(error.message)
    return None


def _note_test(tested: dict[str, float], identifier: str) -> None:
    """Note that a word to try is sent now.

    Raises:
        Refusal: one was a moment ago; status 429.
    """
    now = time.monotonic()
    for one in [one for one, when in tested.items() if when + TEST_EVERY <= now]:
        del tested[one]
    if identifier in tested:
        wait = max(1, math.ceil(tested[identifier] + TEST_EVERY - now))
        raise Refusal(
            429,
            "too-many-tests",
            f"A word to try was sent there a moment ago: try again in {wait} s.",
            headers={"retry-after": str(wait)},
        )
    tested[identifier] = now


def _way(ways: dict[str, Channel], kind: str) -> Channel:
    _known("kind of subscription", kind, ways)
    return ways[kind]


def _known(what: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        close = nearest(name, names)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UserError(f"{name!r} is no {what}: expected {', '.join(names)}{hint}")


def _own(subscription: Subscription | None, caller: Caller) -> Subscription:
    """The subscription; another's is as good as none, save to an admin."""
    if subscription is None or not (subscription.person_id == caller.person.id or caller.is_admin):
        raise Refusal(404, "unknown-subscription", "There is no such subscription.")
    return subscription
