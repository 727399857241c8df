"""Word by e-mail, through the mail server that the environment names.

SWEEPER_SMTP_HOST      its name; without it the service sends no e-mail
SWEEPER_SMTP_FROM      the sender's address
SWEEPER_SMTP_PORT      587
SWEEPER_SMTP_SECURITY  starttls; `tls` from the first byte (port 465), or `none` to a server that
                       is on this machine
SWEEPER_SMTP_USER, SWEEPER_SMTP_PASSWORD      where it wants them
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from sweeper.errors import UserError
from sweeper.service.notices.channel import Channel, Undelivered, Word
from trials.problems import nearest

PREFIX = "SWEEPER_SMTP_"
SECURITIES = ("starttls", "tls", "none")

PATIENCE = 20.0
"""Seconds from the connection until the mail server must be ready for the message, however many
words it needs. Each address of its name has a quarter of them to be connected to."""

TAKING = 60.0
"""Seconds for it to take the message. It may look into it first, and whoever gives up before it has
said that it has it sends it once more."""

_ADDRESS = re.compile(
    r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})", re.ASCII
)


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in, and in whose name."""

    host: str
    sender: str
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)


def mail_server(environment: Mapping[str, str] | None = None) -> MailServer | None:
    """The server that the environment names, if any.

    Raises:
        UserError: what it says is wrong.
    """
    given = os.environ if environment is None else environment
    host, port = given.get(f"{PREFIX}HOST", ""), given.get(f"{PREFIX}PORT") or "587"
    if not host:
        return None
    sender = given.get(f"{PREFIX}FROM", "")
    security = given.get(f"{PREFIX}SECURITY") or "starttls"
    if not _ADDRESS.fullmatch(sender):
        raise UserError(f"{PREFIX}FROM is {sender!r}; expected an address, as sweeper@lab.example")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"{PREFIX}PORT is {port!r}; expected the number of a port, as 587")
    if security not in SECURITIES:
        close = nearest(security, SECURITIES)
        hint = f"; did you mean {close!r}?" if close else ""
        expected = ", ".join(SECURITIES)
        raise UserError(f"{PREFIX}SECURITY is {security!r}; expected {expected}{hint}")
    user, password = given.get(f"{PREFIX}USER", ""), given.get(f"{PREFIX}PASSWORD", "")
    return MailServer(host, sender, int(port), security, user, password)


class Email(Channel):
    """One message to one address. `server` is None where none was named."""

    kind = "email"
    ends_by_itself = True  # its thread cannot be cut off: it would hand in what was given up

    def __init__(self, server: MailServer | None) -> None:
        self._server = server

    def check(self, target: str) -> None:
        if not _ADDRESS.fullmatch(target):
            raise UserError(
                f"{target!r} is not an e-mail address; expected one, as ada@lab.example"
            )
        self._known_server()

    def shown(self, target: str) -> str:
        return target

    async def send(self, word: Word, target: str, secret: str) -> None:
        self.check(target)
        server = self._known_server()
        await asyncio.to_thread(_hand_in, server, _message(word, server.sender, target))

    def _known_server(self) -> MailServer:
        if self._server is None:
            raise UserError(
                f"this server sends no e-mail: it was started without {PREFIX}HOST, the name of a "
                "mail server"
            )
        return self._server


def _message(word: Word, sender: str, target: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = sender, target
    message["Subject"] = word.subject
    message["Date"] = formatdate(word.time)
    # The same whenever it is sent again: a mail server may know it by that.
    message["Message-ID"] = f"<{word.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{word.words}\n\n{word.link}\n", cte="quoted-printable")
    return message


class _Smtp(smtplib.SMTP):
    """A connection that is ready for the message in time, or is handed none: it is cut off where
    its time is over, however often something is heard of it until then."""

    def __init__(self, server: MailServer) -> None:
        # Of several addresses of its name the first may be dead.
        super().__init__(server.host, server.port, timeout=PATIENCE / 4)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        connected.settimeout(None)
        self._line = connected.dup()  # stays what it is when the other becomes one of TLS
        self._give(PATIENCE)
        return connected

    def _give(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._end = threading.Timer(seconds, self._cut_off)
        self._end.daemon = True
        self._end.start()

    def _cut_off(self) -> None:
        with contextlib.suppress(OSError):  # it has gone by itself
            self._line.shutdown(socket.SHUT_RDWR)

    def getreply(self) -> tuple[int, bytes]:
        try:
            reply = super().getreply()
        except smtplib.SMTPServerDisconnected as error:
            if time.monotonic() < self._deadline:
                raise
            raise TimeoutError("timed out") from error
        if time.monotonic() >= self._deadline:  # what was cut off may look like a reply
            raise TimeoutError("timed out")
        return reply

    def data(self, msg: Any) -> tuple[int, bytes]:
        self._end.cancel()
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"it was not ready for the message within {PATIENCE:g} s")
        self._give(TAKING)
        return super().data(msg)

    def close(self) -> None:
        self._end.cancel()
        self._line.close()
        super().close()


class _SmtpTls(_Smtp):
    """The same, encrypted from the first byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = super()._get_socket(host, port, timeout)
        try:
            return ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            self.close()
            raise


def _hand_in(server: MailServer, message: EmailMessage) -> None:
    try:
        with contextlib.closing(_connection(server)) as smtp:
            if server.user:
                smtp.login(server.user, server.password)
            smtp.send_message(message)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.putcmd("quit")  # what it says to that changes nothing: it has the message
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        text = words.decode(errors="replace")
        raise Undelivered(f"the mail server: {code} {text}", final=code >= 500) from error
    except smtplib.SMTPResponseException as error:
        raise Undelivered(f"the mail server: {error.smtp_code} {_text(error)}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"the mail server: {error or type(error).__name__}") from error


def _text(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    return said if isinstance(said, str) else said.decode(errors="replace")


def _connection(server: MailServer) -> _Smtp:
    if server.security == "tls":
        return _SmtpTls(server)
    smtp = _Smtp(server)
    if server.security == "starttls":
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp
