"""Servers that word is sent to: one of HTTP whose paths behave well or badly, and one of SMTP."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 20.0


def until(true: Callable[[], object]) -> None:
    """Wait until something is true, for as long as a busy machine may need."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came to a server of HTTP.

    /ok answers 200, /hang nothing, /drip a byte of its header now and then, /broken 500, /gone 410,
    /mends 500 twice and then 200, /redirect sends on to /trap of the same server.
    """

    port: int = 0
    received: list[Received] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]


class _Handler(http.server.BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.receiver.received.append(Received(self.path, headers, body))
        if self.path == "/hang":
            self.receiver.release.wait(60)
        elif self.path == "/drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.receiver.release.wait(0.05):
                self.wfile.write(b"X-More: x\r\n")
        else:
            self._answer()

    def _answer(self) -> None:
        mended = len(self.receiver.at("/mends")) > 2
        status = {"/broken": 500, "/gone": 410, "/redirect": 302, "/mends": 200 if mended else 500}
        self.send_response(status.get(self.path, 200))
        if self.path == "/redirect":
            self.send_header("location", self.receiver.url("/trap"))
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *args: object) -> None:
        pass


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """Clients that go away in the middle are what is tested."""


@contextmanager
def http_receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """A server of HTTP on a free port; of HTTPS with a certificate (PEM, with its key)."""
    receiver = Receiver()
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    with _Quiet(("127.0.0.1", 0), handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield receiver
        receiver.release.set()
        server.shutdown()
        thread.join()


def certificate_for(name: str, folder: Path) -> Path:
    """A certificate for a name that only who is told to trusts, and its key, in one file."""
    file, key = folder / f"{name}.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key)),
            *("-addext", f"subjectAltName=DNS:{name}", "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + key.read_text())
    return file


@dataclass
class Mailbox:
    """What a mail server took; addresses at nowhere.example it refuses. `slow` are the seconds that
    it needs before it answers a verb, "." being the end of a message."""

    port: int = 0
    logins: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)
    drips: str = ""
    """The verb to which it answers a byte now and then, and never a whole line."""


class _Smtp(socketserver.StreamRequestHandler):
    mailbox: Mailbox
    context: ssl.SSLContext | None
    at_once: bool

    def handle(self) -> None:
        if self.at_once:
            self._encrypt()
        self._say("220 test")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            self._take_time(verb)
            if verb == "EHLO":
                offer = "250-STARTTLS\r\n" if self.context and not self._is_encrypted() else ""
                self._say(f"250-test\r\n{offer}250 AUTH PLAIN")
            elif verb == "STAR":
                self._say("220 go on")
                self._encrypt()
            elif verb == "AUTH":
                self.mailbox.logins.append(base64.b64decode(line.split()[2]).decode())
                self._say("235 welcome")
            elif verb == "RCPT" and "nowhere.example" in line:
                self._say("550 nobody here")
            elif verb == "DATA":
                self._say("354 go on")
                lines = [line.removeprefix(b".") for line in iter(self.rfile.readline, b".\r\n")]
                self.mailbox.messages.append(b"".join(lines).decode().replace("\r\n", "\n"))
                self.mailbox.encrypted.append(self._is_encrypted())
                self._take_time(".")
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _encrypt(self) -> None:
        assert self.context is not None
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)

    def _is_encrypted(self) -> bool:
        return isinstance(self.request, ssl.SSLSocket)

    def _take_time(self, verb: str) -> None:
        time.sleep(self.mailbox.slow.get(verb, 0.0))
        while verb == self.mailbox.drips:
            self.wfile.write(b"2")
            time.sleep(0.05)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """A client that does not trust the certificate goes away in the middle."""


@contextmanager
def mail_receiver(certificate: Path | None = None, *, at_once: bool = False) -> Iterator[Mailbox]:
    """A mail server on a free port; it offers STARTTLS where it has a certificate, or speaks TLS
    `at_once`."""
    mailbox, context = Mailbox(), None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    handler = type(
        "Handler", (_Smtp,), {"mailbox": mailbox, "context": context, "at_once": at_once}
    )
    with _MailServer(("127.0.0.1", 0), handler) as server:
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield mailbox
        server.shutdown()
        thread.join()


@contextmanager
def dead_before(port: int) -> Iterator[str]:
    """A name of a host whose first address takes up no connection to this port, and whose second
    is this machine's."""
    real, dead = socket.getaddrinfo, "127.0.0.2"

    def resolve(host: str, *args: object, **options: object) -> list[object]:
        both = (dead, "127.0.0.1") if host == "two.example" else (host,)
        return [found for one in both for found in real(one, *args, **options)]  # type: ignore[arg-type]

    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind((dead, port))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((dead, port))
        socket.getaddrinfo = resolve  # type: ignore[assignment]
        stack.callback(setattr, socket, "getaddrinfo", real)
        yield "two.example"


@contextmanager
def names(known: dict[str, str | list[str]]) -> Iterator[list[str]]:
    """Names of hosts have these addresses; of several, one a time, in turn. What was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: object, **options: object) -> object:
        asked.append(host)
        found = known.get(host)
        if found is None:
            return real(host, port, *args, **options)  # type: ignore[arg-type]
        address = found if isinstance(found, str) else found.pop(0)
        return real(address, port, *args, **options)  # type: ignore[arg-type]

    socket.getaddrinfo = resolve  # type: ignore[assignment]
    try:
        yield asked
    finally:
        socket.getaddrinfo = real
