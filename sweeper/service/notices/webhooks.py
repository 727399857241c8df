"""Word by HTTP: a signed webhook, and the text that Slack and its like take.

A webhook is a POST of JSON, signed as https://www.standardwebhooks.com says, for which there are
libraries in every language:

    webhook-id         the same whenever the same word is sent again
    webhook-timestamp  Unix seconds of this sending
    webhook-signature  v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))

The secret is what follows `whsec_`, in base64.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx

from sweeper.service.notices.channel import Channel, Undelivered, Word
from sweeper.service.notices.targets import addresses_of, parse_url

SECRET_PREFIX = "whsec_"

PATIENCE = 5.0
"""Seconds for a connection, and between two pieces of an answer."""


class _ByHttp(Channel):
    """What the ways by HTTP have in common. `internal` allows targets that are not public."""

    def __init__(self, internal: bool) -> None:
        self._internal = internal

    def check(self, target: str) -> None:
        addresses_of(parse_url(target), internal=self._internal)

    def shown(self, target: str) -> str:
        url = httpx.URL(target)  # its path may be all that one needs to write there
        return f"{url.scheme}://{url.netloc.decode('ascii')}/…"

    async def _post(self, target: str, content: Mapping[str, Any], secret: tuple[str, str]) -> None:
        url = parse_url(target)
        addresses = await asyncio.to_thread(addresses_of, url, internal=self._internal)
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "user-agent": "gan-sweeper"}
        headers |= signed(*secret, body) if secret[1] else {}
        await _post_to(url, addresses, body, headers)


class Webhook(_ByHttp):
    """JSON for programs, signed."""

    kind = "webhook"

    def new_secret(self) -> str:
        return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()

    async def send(self, word: Word, target: str, secret: str) -> None:
        content = {
            "type": f"sweep.{word.occasion}",
            "timestamp": datetime.fromtimestamp(word.time, UTC).isoformat(),
            "data": {**word.data, "words": word.words, "link": word.link},
        }
        await self._post(target, content, (word.id, secret))


class Slack(_ByHttp):
    """A text for a channel: Slack's incoming webhooks, Mattermost's, Discord's `/slack`."""

    kind = "slack"

    async def send(self, word: Word, target: str, secret: str) -> None:
        await self._post(target, {"text": f"{_escaped(word.words)}\n{word.link}"}, (word.id, ""))


def signed(identifier: str, secret: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """The headers that let a receiver know that it is we who send, and when."""
    timestamp = str(int(time.time() if now is None else now))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    content = b".".join((identifier.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def _escaped(text: str) -> str:
    """Text in which nothing is a link or a call to a whole channel (`<!everyone>`)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _post_to(
    url: httpx.URL, addresses: list[str], body: bytes, headers: Mapping[str, str]
) -> None:
    """Post to the first of these addresses that can be connected to; the name goes into the Host
    header and is what a certificate must be for."""
    headers = {**headers, "host": url.netloc.decode("ascii")}
    extensions = {"sni_hostname": url.raw_host.decode("ascii")} if url.scheme == "https" else {}
    problem = "no connection"
    # A proxy of the environment would resolve the name anew.
    async with httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=PATIENCE) as client:
        for address in addresses:
            there = url.copy_with(host=address)
            try:
                async with client.stream(
                    "POST", there, content=body, headers=headers, extensions=extensions
                ) as answer:
                    _judge(answer.status_code)
                    return  # of what it answers, nothing more is read
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = f"no connection: {error or type(error).__name__}"
            except httpx.HTTPError as error:
                raise Undelivered(f"no answer: {error or type(error).__name__}") from error
    raise Undelivered(problem)


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered(f"it answers {status}, and redirects are not followed")
    raise Undelivered(f"it answers {status}", final=status == 410)
