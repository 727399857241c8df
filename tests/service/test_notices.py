"""Word to people: what they are told, by servers that behave well or badly, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import email.policy
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from sweeper.errors import UserError
from sweeper.service.app import Service, application
from sweeper.service.notices import mail, occasions, subscribing, webhooks, worker
from sweeper.service.notices.channel import Undelivered, Word
from sweeper.service.notices.mail import Email, MailServer, mail_server
from sweeper.service.notices.occasions import BEST_EVERY, OCCASIONS, Told, best_key, notices
from sweeper.service.notices.targets import is_public
from sweeper.service.notices.watch import Watch
from sweeper.service.notices.webhooks import Slack, Webhook
from sweeper.service.notices.worker import Notices
from sweeper.service.state import accounts, sweeps
from sweeper.service.state import notices as state
from sweeper.service.state.accounts import Caller
from sweeper.service.state.tables import Delivery, Driver, Lease, Subscription, Sweep
from sweeper.wording import duration
from tests.service.conftest import ADDRESS, Lab
from tests.service.receivers import (
    Receiver,
    certificate_for,
    dead_before,
    http_receiver,
    mail_receiver,
    names,
    until,
)

WORD = Word("word-1", "ended", "x has finished.", f"{ADDRESS}/sweeps/x", 1e9, {"sweep": "x"})

RETRIES = 3
SERVER = MailServer("localhost", "sweeper@lab.example", user="u", password="p")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, some hundred times faster, with fewer retries."""
    monkeypatch.setattr(worker, "WATCH_EVERY", 0.02)
    monkeypatch.setattr(worker, "SEND_EVERY", 0.01)
    monkeypatch.setattr(worker, "BACK_OFF", (0.02,) * RETRIES)
    monkeypatch.setattr(subscribing, "PATIENCE", 1.0)


@contextmanager
def sending(lab: Lab) -> Iterator[Notices]:
    """Word is sent meanwhile."""
    notices = Notices(lab.service)
    notices.start()
    try:
        yield notices
    finally:
        notices.stop()


def open_lab(lab: Lab) -> Lab:
    """The same, whose admin allows targets on this machine."""
    settings = replace(lab.service.settings, internal_targets=True)
    return Lab(Service(settings, lab.database), lab.tokens)


def caller(lab: Lab, person: str) -> Caller:
    with lab.database.reading() as session:
        found = accounts.caller_with_token(session, lab.tokens[person])
    assert found is not None
    return found


def subscribe(lab: Lab, person: str, target: str, kind: str = "webhook", **more: Any) -> str:
    """Subscribe; the secret."""
    there = {"kind": kind, "target": target, **more}
    return subscribing.subscribe(lab.service, caller(lab, person), **there)[1]


def end(lab: Lab, sweep: Sweep, state: str = "finished", message: str = "") -> None:
    with lab.database.writing() as session:
        lease = session.get_one(Lease, sweep.id)
        lease.state, lease.since, lease.message = state, time.time(), message


def deliveries(lab: Lab) -> list[Delivery]:
    with lab.database.reading() as session:
        return list(session.query(Delivery).order_by(Delivery.id))


# Who is told what ---------------------------------------------------------------------------------


def test_the_owner_is_told_of_an_end_and_others_as_they_wish(
    either_lab: Lab, receiver: Receiver
) -> None:
    lab = open_lab(either_lab)
    before = lab.submit("bo", "before")
    end(lab, before)
    secret = subscribe(lab, "bo", receiver.url("/bo"))
    subscribe(lab, "cy", receiver.url("/cy"))
    subscribe(lab, "dee", receiver.url("/dee"), "slack", everyone=True, occasions=["failed"])
    with sending(lab):
        end(lab, lab.submit("bo", "good"))
        until(lambda: receiver.at("/bo"))
        end(lab, lab.submit("bo", "bad"), "failed", "the <!everyone> disk & more is full")
        until(lambda: len(receiver.at("/bo")) == 2 and receiver.at("/dee"))
    good, bad = sorted(receiver.at("/bo"), key=lambda one: one.headers["webhook-timestamp"])
    assert _signature(secret, good.headers, good.body) == good.headers["webhook-signature"]
    told = json.loads(good.body)
    assert told["type"] == "sweep.ended"
    assert told["data"]["words"] == "good has finished."
    assert told["data"]["link"] == f"{ADDRESS}/sweeps/good"
    assert (told["data"]["owner"], told["data"]["state"]) == ("bo", "finished")
    assert json.loads(bad.body)["type"] == "sweep.failed"
    assert [json.loads(one.body)["text"] for one in receiver.at("/dee")] == [
        "bad has failed. the &lt;!everyone&gt; disk &amp; more is full\n" + f"{ADDRESS}/sweeps/bad"
    ]
    assert not receiver.at("/cy")
    assert all(one.delivered and one.due is None for one in deliveries(lab))


def _signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    key = base64.b64decode(secret.split("_", 1)[1])
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_a_better_best_is_told_now_and_then(lab: Lab) -> None:
    lab = open_lab(lab)
    sweep = lab.submit("bo", "long")
    watch = Watch(lab.service)
    _drive(lab, sweep, best={"trial": 1, "value": 9.0, "words": "fid 9 by trial 00001"})
    subscribe(lab, "bo", "http://127.0.0.1:9/", occasions=["best"])
    watch.look()  # what is best already is no news
    for value in (8.0, 7.0):
        _drive(lab, sweep, best={"trial": 2, "value": value, "words": f"fid {value:g}"})
        watch.look()
    with lab.database.reading() as session:
        (event,) = state.notices_of(session, [sweep.id])
    assert event.data["words"] == "long has a better best: fid 8."
    entry = _entry(lab, "long")
    told = {"best": Told(frozenset({"2 8.0"}), 0.0)}
    assert [notice.occasion for notice in notices(entry, told, [], BEST_EVERY)] == ["best"]
    assert notices(entry, {"best": Told(frozenset({best_key(entry)}), 0.0)}, [], 1e9) == []


def test_a_better_best_is_told_also_by_a_service_that_has_begun_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occasions, "BEST_EVERY", 0.0)
    lab = open_lab(lab)
    sweep, watch = lab.submit("bo", "long"), Watch(lab.service)

    def look(by: Watch, value: float) -> list[str]:
        _drive(lab, sweep, best={"trial": 1, "value": value, "words": f"fid {value:g}"})
        by.look()
        with lab.database.reading() as session:
            return [event.data["words"] for event in state.notices_of(session, [sweep.id])]

    look(watch, 9.0)
    subscribe(lab, "bo", "http://127.0.0.1:9/", occasions=["best"])
    assert look(watch, 9.0) == []
    told = ["long has a better best: fid 8.", "long has a better best: fid 7."]
    assert look(watch, 8.0) == told[:1]
    assert look(Watch(lab.service), 7.0) == told
    with lab.database.writing() as session:
        session.query(Subscription).delete()
    look(watch, 6.0)
    subscribe(lab, "cy", "http://127.0.0.1:9/", occasions=["best"], everyone=True)
    assert look(watch, 6.0) == told  # what was best before anybody asked again is no news


def test_a_budget_is_told_of_once_a_limit(lab: Lab) -> None:
    sweep = lab.submit("bo", "dear")
    _drive(lab, sweep, gpu_seconds=3600 * 0.89 * 2, cpu_seconds=3600.0)
    with lab.database.writing() as session:
        kept = session.get_one(Sweep, sweep.id)
        kept.spec = {**kept.spec, "limits": {"trials": 2, "gpu_hours": 2, "cpu_hours": None}}
    assert notices(_entry(lab, "dear"), {}, [], 0.0) == []
    _drive(lab, sweep, gpu_seconds=3600 * 0.91 * 2)
    (notice,) = notices(_entry(lab, "dear"), {}, [], 0.0)
    assert notice.words == "dear has used 91 % of its 2 GPU hours."
    assert (
        notices(_entry(lab, "dear"), {"budget": Told(frozenset({notice.key}), 0.0)}, [], 0.0) == []
    )


def test_of_two_budgets_each_is_told_of_once(lab: Lab) -> None:
    lab = open_lab(lab)
    subscribe(lab, "bo", "http://127.0.0.1:9/", occasions=["budget"])
    sweep = lab.submit("bo", "dear")
    _drive(lab, sweep, gpu_seconds=3600 * 1.9, cpu_seconds=3600 * 3.8)
    with lab.database.writing() as session:
        kept = session.get_one(Sweep, sweep.id)
        kept.spec = {**kept.spec, "limits": {"trials": 2, "gpu_hours": 2, "cpu_hours": 4}}
    watch = Watch(lab.service)
    for look in (watch.look, watch.look, Watch(lab.service).look):
        look()
    with lab.database.reading() as session:
        told = [event.data["key"] for event in state.notices_of(session, [sweep.id])]
    assert told == ["gpu 2", "cpu 4"]


def test_a_stall_is_by_the_sweep_s_own_pace(lab: Lab) -> None:
    sweep, now = lab.submit("bo", "slow"), 1e9
    _drive(lab, sweep, at_work=2, begun=0.0)
    with lab.database.writing() as session:
        lease = session.get_one(Lease, sweep.id)
        lease.state, lease.since = "running", 0.0
    entry = _entry(lab, "slow")
    hourly = [now - 3600 * (12 - hour) for hour in range(10)]  # the last one two hours ago
    assert notices(entry, {}, hourly, now) == []
    assert notices(entry, {}, hourly[-3:], now + 1e6) == []  # too few to know its pace
    (notice,) = notices(entry, {}, hourly, now + 3 * 3600)
    assert notice.words.startswith(f"slow stalls: nothing was evaluated for {duration(6 * 3600)}")
    assert (
        notices(entry, {"stalled": Told(frozenset({notice.key}), now)}, hourly, now + 9 * 3600)
        == []
    )
    paused_long_ago = [hourly[0] - 1e6, *hourly]
    assert len(notices(entry, {}, paused_long_ago, now + 3 * 3600)) == 1
    minutely = [now - 60 * minute for minute in range(9, 1, -1)]
    assert notices(entry, {}, minutely, now + 5 * 60) == []
    assert len(notices(entry, {}, minutely, now + 30 * 60)) == 1


def test_what_was_told_is_not_told_again_after_a_restart(lab: Lab) -> None:
    lab = open_lab(lab)
    subscribe(lab, "bo", "http://127.0.0.1:9/x")
    sweep = lab.submit("bo", "once")
    _drive(lab, sweep, best={"trial": 1, "value": 9.0})
    Watch(lab.service).look()
    end(lab, sweep)
    Watch(lab.service).look()
    Watch(lab.service).look()
    again = Watch(lab.service)
    again.look()
    again.look()
    with lab.database.reading() as session:
        told = [event.data["occasion"] for event in state.notices_of(session, [sweep.id])]
    assert told == ["best", "ended"]
    assert len(deliveries(lab)) == 2


def test_whoever_has_no_token_any_more_is_told_nothing(either_lab: Lab) -> None:
    lab = open_lab(either_lab)
    target = "http://127.0.0.1:9/"
    subscribe(lab, "bo", target)
    subscribe(lab, "cy", target, everyone=True)
    bo, watch = caller(lab, "bo"), Watch(lab.service)
    end(lab, lab.submit("bo", "while-let-in"))
    watch.look()
    with lab.database.writing() as session:
        accounts.revoke(session, bo.token.id)
    end(lab, lab.submit("bo", "while-locked-out"))
    watch.look()
    assert _words_due(lab) == {"cy": ["while-let-in"]}
    assert len(deliveries(lab)) == 3
    with lab.database.writing() as session:
        accounts.add_token(session, bo.person, "again", accounts.Scope.READ)
    end(lab, lab.submit("cy", "other"))
    end(lab, lab.submit("bo", "let-in-again"))
    watch.look()
    assert _words_due(lab) == {"bo": ["while-let-in"], "cy": ["while-let-in"]}
    assert len(deliveries(lab)) == 6


def _words_due(lab: Lab) -> dict[str, list[str]]:
    """Which sweeps are to be told of now, to whom: of each subscription one at a time."""
    found: dict[str, list[str]] = {}
    with lab.database.reading() as session:
        names = {one.id: one.name for one in accounts.people(session)}
        for due in state.due_now(session, without=[], limit=10):
            person = names[due.subscription.person_id]
            found.setdefault(person, []).append(due.event.data["sweep"])
    return found


# Targets that behave badly ------------------------------------------------------------------------


def test_a_bad_target_delays_nobody_and_is_given_up_in_the_end(
    lab: Lab, receiver: Receiver
) -> None:
    lab = open_lab(lab)
    for path in ("/hang", "/drip", "/broken", "/redirect", "/gone", "/mends"):
        subscribe(lab, "bo", receiver.url(path))
    subscribe(lab, "cy", receiver.url("/ok"), everyone=True)
    subscribe(lab, "cy", "http://127.0.0.1:9/nobody-there", everyone=True)
    with sending(lab):
        end(lab, lab.submit("bo", "good"))
        until(lambda: receiver.at("/ok"))
        assert any(one.due for one in deliveries(lab))  # the others are still at it
        until(lambda: all(one.due is None for one in deliveries(lab)))
    tried = {path: len(receiver.at(path)) for path in ("/broken", "/redirect", "/gone", "/mends")}
    assert tried == {
        "/broken": RETRIES + 1,
        "/redirect": RETRIES + 1,
        "/gone": 1,
        "/mends": 3,
    }
    assert not receiver.at("/trap")
    for path in tried:
        assert len({one.headers["webhook-id"] for one in receiver.at(path)}) == 1
    errors = sorted({one.error for one in deliveries(lab)})
    assert errors == [
        "",
        "it answers 302, and redirects are not followed",
        "it answers 410",
        "it answers 500",
        "no answer within 1 s",
        "no connection: All connection attempts failed",
    ]


def test_a_kill_before_it_is_noted_sends_again_under_the_same_id(
    lab: Lab, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_lab(lab)
    subscribe(lab, "bo", receiver.url("/ok"))
    settle = state.settle

    def killed(*args: object, **options: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr(state, "settle", killed)
    with sending(lab):
        end(lab, lab.submit("bo", "good"))
        until(lambda: receiver.received)
    monkeypatch.setattr(state, "settle", settle)
    with sending(lab):
        until(lambda: all(one.delivered for one in deliveries(lab)))
    assert len(receiver.received) > 1
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    before = len(receiver.received)
    with sending(lab):
        end(lab, lab.submit("bo", "next"))
        until(lambda: len(deliveries(lab)) == 2 and deliveries(lab)[1].delivered)
    assert len(receiver.received) == before + 1


def test_what_is_on_its_way_when_the_service_ends_is_noted_and_not_sent_again(lab: Lab) -> None:
    taken = []

    class Slow(Webhook):
        ends_by_itself = True

        async def send(self, word: Word, target: str, secret: str) -> None:
            taken.append(word.id)
            await asyncio.sleep(6.0)

    lab = open_lab(lab)
    subscribe(lab, "bo", "http://127.0.0.1:9/slow")
    for _ in range(2):
        notices = Notices(lab.service, {"webhook": Slow(internal=True)})
        notices.start()
        if not taken:
            end(lab, lab.submit("bo", "good"))
        until(lambda: taken)
        notices.stop()
    assert len(taken) == 1
    assert [bool(one.delivered) for one in deliveries(lab)] == [True]


def test_one_of_two_servers_sends(either_lab: Lab, receiver: Receiver) -> None:
    lab = open_lab(either_lab)
    subscribe(lab, "bo", receiver.url("/ok"))
    with sending(lab) as first, sending(lab):
        for number in range(5):
            end(lab, lab.submit("bo", f"sweep-{number}"))
        until(lambda: len(receiver.received) == 5)
        first.stop()
        end(lab, lab.submit("bo", "last"))
        until(lambda: len(receiver.received) == 6)
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 6


def test_whoever_is_removed_is_told_nothing_more(lab: Lab, receiver: Receiver) -> None:
    lab = open_lab(lab)
    subscribe(lab, "bo", receiver.url("/hang"))
    with sending(lab):
        end(lab, lab.submit("bo", "good"))
        until(lambda: receiver.received)
        (mine,) = subscribing.listed(lab.service, caller(lab, "bo"))
        subscribing.unsubscribe(lab.service, caller(lab, "bo"), mine.subscription.id)
    assert deliveries(lab) == []


# What is not reached from here --------------------------------------------------------------------


OF_MACHINES = """
127.0.0.1 10.0.0.8 192.168.1.1 169.254.169.254 0.0.0.0 100.100.100.200 168.63.129.16 192.0.0.192
224.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1
::ffff:127.0.0.1 ::ffff:10.0.0.8 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::
"""


@pytest.mark.parametrize("address", OF_MACHINES.split())
def test_addresses_of_machines_and_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:8265/api/jobs/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://[::1]:80/",
        "http://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://nowhere.invalid/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user:word@example.org/",
        "https://",
        "https://x\ny/",
        "//example.org/x",
        "example.org",
        "",
        "https://example.org/" + "x" * 2000,
        "https://\udcff.example/",
    ],
)
def test_a_target_that_is_not_for_everybody_is_not_saved(lab: Lab, target: str) -> None:
    for kind in ("webhook", "slack"):
        with pytest.raises(UserError):
            subscribe(lab, "bo", target, kind)
    assert subscribing.listed(lab.service, caller(lab, "bo")) == []


def test_a_name_that_changes_its_address_is_looked_at_again(receiver: Receiver) -> None:
    """DNS rebinding: harmless when it is saved, of this machine when it is sent to."""
    channel = Webhook(internal=False)
    target = receiver.url("/ok", "rebind.example")
    with names({"rebind.example": ["1.1.1.1", "127.0.0.1"]}):
        channel.check(target)
        with pytest.raises(UserError, match=r"rebind\.example is 127\.0\.0\.1"):
            asyncio.run(channel.send(WORD, target, channel.new_secret()))
    with names({"rebind.example": ["127.0.0.1", "1.1.1.1"]}) as asked:
        asyncio.run(Webhook(internal=True).send(WORD, target, channel.new_secret()))
    assert asked.count("rebind.example") == 1, "the connection goes where was looked at"
    assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"


def test_a_certificate_must_be_the_name_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate_for("hooks.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    webhooks._trust.cache_clear()
    both = {"hooks.example": "127.0.0.1", "other.example": "127.0.0.1"}
    slack = Slack(internal=True)
    with http_receiver(file) as receiver, names(both):
        asyncio.run(slack.send(WORD, receiver.url("/ok", "hooks.example", "https"), ""))
        with pytest.raises(Undelivered, match="certificate"):
            asyncio.run(slack.send(WORD, receiver.url("/ok", "other.example", "https"), ""))
    webhooks._trust.cache_clear()
    assert len(receiver.received) == 1


# E-mail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_is_handed_in_encrypted_and_once(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate_for("localhost", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with mail_receiver(file, at_once=security == "tls") as mailbox:
        server = replace(SERVER, port=mailbox.port, security=security)
        word = replace(WORD, words="größer\n.\nthan\r\nBcc: all@lab.example")
        asyncio.run(Email(server).send(word, "ada@lab.example", ""))
        with pytest.raises(Undelivered, match="550 nobody here") as refused:
            asyncio.run(Email(server).send(WORD, "x@nowhere.example", ""))
        assert refused.value.final
        wrong = replace(server, host="127.0.0.1")  # the certificate is for localhost
        with pytest.raises(Undelivered, match="certificate"):
            asyncio.run(Email(wrong).send(WORD, "ada@lab.example", ""))
    assert (mailbox.encrypted, mailbox.logins[:1]) == ([True], ["\0u\0p"])
    message = message_from_string(mailbox.messages[0], policy=email.policy.default)
    assert message["Subject"] == "[sweeper] x: ended"
    assert message["Message-ID"] == "<word-1@lab.example>"
    assert message["Bcc"] is None
    assert message.get_content().startswith("größer\n.\nthan\nBcc: all@lab.example\n")


def test_a_mail_server_without_encryption_gets_nothing_unless_that_is_said() -> None:
    with mail_receiver() as mailbox:
        server = replace(SERVER, port=mailbox.port)
        with pytest.raises(Undelivered, match="STARTTLS"):
            asyncio.run(Email(server).send(WORD, "ada@lab.example", ""))
        assert mailbox.logins == []
        plain = replace(server, security="none")
        asyncio.run(Email(plain).send(WORD, "ada@lab.example", ""))
    assert mailbox.encrypted == [False]
    assert "password" not in repr(plain)


def test_a_slow_mail_server_gets_a_word_once_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "PATIENCE", 1.0)
    there = Subscription(kind="email", target="ada@lab.example", secret="")
    with mail_receiver() as mailbox:
        way = Email(replace(SERVER, port=mailbox.port, security="none"))
        # Each word in time, and all of them not: what is given up must not come after all.
        mailbox.slow = dict.fromkeys(("EHLO", "AUTH", "MAIL", "RCPT"), 0.4)
        refused = asyncio.run(subscribing.attempt(way, WORD, there))
        assert refused is not None
        assert not refused.final
        assert mailbox.messages == []
        # It looks into the message for longer than other ways have time, and is odd at the end.
        mailbox.slow = {".": 1.5 * subscribing.PATIENCE, "QUIT": 30.0}
        began = time.monotonic()
        assert asyncio.run(subscribing.attempt(way, WORD, there)) is None
        assert time.monotonic() - began < 15.0
        assert len(mailbox.messages) == 1
        monkeypatch.setattr(mail, "TAKING", 0.2)
        silent = asyncio.run(subscribing.attempt(way, WORD, there))
        assert "timed out" in str(silent)


@pytest.mark.parametrize("verb", ["EHLO", "."])
def test_a_mail_server_that_only_drips_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(mail, "PATIENCE", 4.0 if verb == "." else 1.0)
    monkeypatch.setattr(mail, "TAKING", 1.0)
    there = Subscription(kind="email", target="ada@lab.example", secret="")
    with mail_receiver() as mailbox:
        way = Email(replace(SERVER, port=mailbox.port, security="none"))
        mailbox.drips = verb
        began = time.monotonic()
        refused = asyncio.run(asyncio.wait_for(subscribing.attempt(way, WORD, there), 10.0))
        assert "timed out" in str(refused)
        assert time.monotonic() - began < 10.0
        assert len(mailbox.messages) == (verb == ".")


def test_a_dead_address_of_a_mail_server_costs_the_next_one_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "PATIENCE", 2.0)
    there = Subscription(kind="email", target="ada@lab.example", secret="")
    with mail_receiver() as mailbox, dead_before(mailbox.port) as host:
        mailbox.slow = {"EHLO": 1.6}
        server = replace(SERVER, host=host, port=mailbox.port, security="none")
        assert asyncio.run(subscribing.attempt(Email(server), WORD, there)) is None
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize(
    "target",
    ["", "ada", "a@b\nBcc: c@d.example", "a b@c.example", "a@b.example, c@d.example", "<a@b.c>"],
)
def test_what_is_no_address_is_not_written_to(target: str) -> None:
    with pytest.raises(UserError, match="not an e-mail address"):
        Email(SERVER).check(target)


def test_the_environment_names_the_mail_server() -> None:
    assert mail_server({}) is None
    with pytest.raises(UserError, match="SWEEPER_SMTP_HOST"):
        Email(None).check("ada@lab.example")
    good = {"SWEEPER_SMTP_HOST": "mail.lab", "SWEEPER_SMTP_FROM": "sweeper@lab.example"}
    found = mail_server(good)
    assert found is not None
    assert (found.port, found.security) == (587, "starttls")
    for wrong in ({"FROM": "x"}, {"PORT": "0"}, {"PORT": "²"}, {"SECURITY": "startls"}):
        (key,) = wrong
        with pytest.raises(UserError, match=f"SWEEPER_SMTP_{key}"):
            mail_server({**good, f"SWEEPER_SMTP_{key}": wrong[key]})


# Over the API -------------------------------------------------------------------------------------


def _client(lab: Lab, person: str) -> TestClient:
    return TestClient(
        application(lab.service),
        base_url=ADDRESS,
        headers={"authorization": f"Bearer {lab.tokens[person]}"},
        raise_server_exceptions=False,
    )


def test_people_subscribe_over_the_api(lab: Lab, receiver: Receiver) -> None:
    lab, there = open_lab(lab), "/api/v1/notices"
    bo, cy, ada = (_client(lab, person) for person in ("bo", "cy", "ada"))
    made = bo.post(there, json={"kind": "webhook", "target": receiver.url("/ok?key=hidden")})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert made.json()["occasions"] == list(OCCASIONS)
    listed = bo.get(there)
    assert "hidden" not in listed.text
    assert "secret" not in listed.text
    (mine,) = listed.json()
    assert cy.get(there).json() == []
    one = f"{there}/{mine['id']}"
    assert bo.post(f"{one}:test").json() == {"delivered": True, "error": ""}
    assert json.loads(receiver.received[0].body)["type"] == "sweep.test"
    again = bo.post(f"{one}:test")
    assert (again.status_code, again.json()["type"]) == (429, "/problems/too-many-tests")
    assert 0 < int(again.headers["retry-after"]) <= subscribing.TEST_EVERY
    assert len(receiver.received) == 1
    broken = bo.post(there, json={"kind": "slack", "target": receiver.url("/broken")}).json()
    tried = bo.post(f"{there}/{broken['id']}:test").json()
    assert tried == {"delivered": False, "error": "it answers 500"}
    lab.service.tested[mine["id"]] -= subscribing.TEST_EVERY
    assert bo.post(f"{one}:test").json()["delivered"]
    for answer in (cy.post(f"{one}:test"), cy.delete(one), bo.delete(f"{there}/{'x' * 32}")):
        assert (answer.status_code, answer.json()["type"]) == (
            404,
            "/problems/unknown-subscription",
        )
    assert _client(lab, "dee").post(there, json={}).status_code == 403
    audit = ada.get("/api/v1/audit").text
    assert f"{mine['id']} webhook" in audit
    assert ada.delete(one).status_code == 204
    assert [kept["id"] for kept in bo.get(there).json()] == [broken["id"]]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kind": "fax", "target": "https://example.org"},
        {"kind": "webhook", "target": "http://localhost/"},
        {"kind": "email", "target": "ada@lab.example"},
        {"kind": "webhook", "target": "https://1.1.1.1/", "occasions": ["lunch"]},
        {"kind": "webhook", "target": "https://1.1.1.1/", "secret": "mine"},
        {"kind": "webhook", "target": ["https://1.1.1.1/"]},
        [],
    ],
)
def test_nonsense_is_refused_with_its_reason(lab: Lab, given: object) -> None:
    answer = _client(lab, "bo").post("/api/v1/notices", json=given)
    assert answer.status_code == 422
    assert answer.json()["title"]
    assert subscribing.listed(lab.service, caller(lab, "bo")) == []


def test_nobody_has_more_subscriptions_than_anybody_may(lab: Lab) -> None:
    for _ in range(state.MOST):
        subscribe(lab, "bo", "https://1.1.1.1/")
    with pytest.raises(UserError, match="nobody may have more"):
        subscribe(lab, "bo", "https://1.1.1.1/")
    subscribe(lab, "cy", "https://1.1.1.1/")


# What the tables say ------------------------------------------------------------------------------


def _entry(lab: Lab, name: str) -> sweeps.Entry:
    with lab.database.reading() as session:
        return sweeps.entry_named(session, name)


def _drive(lab: Lab, sweep: Sweep, **said: Any) -> None:
    """What its driver says of the sweep."""
    with lab.database.writing() as session:
        driver = session.get(Driver, sweep.id)
        if driver is None:
            driver = Driver(sweep_id=sweep.id, attempt=1, job="x", begun=time.time())
            session.add(driver)
        for key, value in said.items():
            setattr(driver, key, value)
