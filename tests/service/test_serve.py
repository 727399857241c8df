"""The process of `sweeper serve`: what it refuses, what it shows once, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.service import listening
from sweeper.service.app import Service, application
from sweeper.service.people.attempts import ALLOWED
from sweeper.service.settings import ServiceSettings, database_url
from sweeper.service.starting import checked
from sweeper.service.state import accounts
from sweeper.service.state.database import Database
from tests.service.process import NOWHERE, TOKEN, Process
from tests.service.served import free_port


def test_the_first_token_is_shown_once_and_stands_nowhere_else(tmp_path: Path) -> None:
    process = Process(tmp_path / "sweeps", free_port())
    process.start()
    (token,) = TOKEN.findall(process.until("The service is at"))
    secret = token.split("_", 2)[2].encode()  # of 43 letters; an underscore may be among them
    address = process.address
    with httpx.Client(headers={"authorization": f"Bearer {token}"}) as client:
        assert client.get(f"{address}/api/v1/sweeps").status_code == 200
        assert client.get(f"{address}/api/v1/never?token={token}").status_code == 404
        assert client.get(f"{address}/mlflow/version").status_code == 502
    lines = [_read(file) for file in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(b"serve" in line for line in lines)
    assert [line for line in lines if secret in line] == []

    same = Process(process.home, free_port())
    other = Process(process.home.with_name("other"), process.port)
    for one in (same, other):  # at once: to start a service takes seconds
        one.start()
    _refused(same, 1, "one serves everybody")
    _refused(other, 2, f"cannot listen at port {process.port}")

    before = len(process.said)
    assert process.end() == 0
    assert TOKEN.findall(process.said[before:]) == []
    kept = [file for file in process.home.rglob("*") if file.is_file()]
    assert len(kept) > 3
    assert [file for file in kept if secret in file.read_bytes()] == []
    again = Process(process.home, process.port)
    again.start()
    assert TOKEN.findall(again.until("The service is at")) == []
    assert again.end() == 0


def _refused(process: Process, status: int, words: str) -> None:
    assert "Traceback" not in process.until(words)
    assert process.process.wait(30) == status


@pytest.mark.slow
def test_mlflow_is_a_child_that_comes_back_and_ends_with_it(tmp_path: Path) -> None:
    process = Process(
        tmp_path / "sweeps", free_port(), environment={**NOWHERE, "MLFLOW_TRACKING_URI": ""}
    )
    process.start()
    (token,) = TOKEN.findall(process.until("The service is at", 200))
    client = httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=30)
    version = f"{process.address}/mlflow/version"
    with client:
        assert client.get(version).status_code == 200
        for one in _below(process):
            one.kill()
        process.until("is started again")
        deadline = time.monotonic() + 120
        while client.get(version).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    children = _below(process)
    assert children
    process.end(signal.SIGKILL)
    _, left = psutil.wait_procs(children, timeout=30)
    assert left == []


@pytest.mark.parametrize("name", ["a?b", "a%41b"])
def test_a_home_whose_path_an_address_cannot_hold_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot keep its database in .*choose another --home"):
        database_url(Home(tmp_path / name), {})


def test_what_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    settings = ServiceSettings(
        Home(tmp_path),
        "sqlite://",
        host="10.0.0.1",
        public="https://x/y?token=secretsecret",
        certificate=tmp_path / "none.pem",
        proxies=("*", "10.0.0.5"),
        roots=(tmp_path / "none",),
        stores=("bucket", "https://user:pw@host/x", "https://host/x", "hf://org/data"),
    )
    with pytest.raises(UserError) as caught:
        checked(settings)
    assert [problem.path for problem in caught.value.problems] == [
        "--public",
        "--key",
        "--proxy",
        "--root",
        "--store",
        "--store",
        "--store",
    ]
    assert caught.value.problems[-1].expected.startswith("one of s3://, gs://, az://, hf:// with")
    assert "secretsecret" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "insecure", "where"),
    [
        ({}, False, None),
        ({"host": "::1"}, False, None),
        ({"host": "10.0.0.1"}, False, "--host"),
        ({"host": "10.0.0.1"}, True, None),
        ({"host": "10.0.0.1", "public": "http://sweeps.lab"}, False, "--host"),
        ({"host": "0.0.0.0"}, True, "--public"),
        ({"host": "10.0.0.1", "public": "https://sweeps.lab"}, False, "--proxy"),
        (
            {"host": "10.0.0.1", "public": "https://sweeps.lab", "proxies": ("10.0.0.5",)},
            False,
            None,
        ),
    ],
)
def test_a_network_is_listened_on_with_tls_alone(
    changes: dict[str, object], insecure: bool, where: str | None, tmp_path: Path
) -> None:
    settings = replace(ServiceSettings(Home(tmp_path), "sqlite://"), **changes)  # type: ignore[arg-type]
    if where is None:
        assert checked(settings, insecure=insecure) is settings
        return
    with pytest.raises(UserError) as caught:
        checked(settings, insecure=insecure)
    assert [problem.path for problem in caught.value.problems] == [where]


@contextlib.contextmanager
def listening_service(folder: Path, **changes: object) -> Iterator[ServiceSettings]:
    """The application behind the real listener."""
    database = Database(f"sqlite:///{folder}/service.db")
    database.upgrade()
    settings = replace(ServiceSettings(Home(folder), database.url, port=free_port()), **changes)  # type: ignore[arg-type]
    service = Service(settings, database)
    made = listening.bound(settings)
    server = listening.listener(application(service), settings, service.ending)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield settings
    service.ending.set()
    thread.join()
    made.close()
    database.close()


def test_a_client_that_does_not_finish_its_headers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.3)
    with listening_service(tmp_path) as settings:
        slow = [socket.create_connection((settings.host, settings.port)) for _ in range(3)]
        slow[1].sendall(b"GET /health HTTP/1.1\r\nHost:")
        whole = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{settings.port}\r\n\r\n".encode()
        slow[2].sendall(whole)
        assert slow[2].recv(4096).startswith(b"HTTP/1.1 200")
        slow[2].sendall(whole[:20])  # and its second request not at all
        for one in slow:
            one.settimeout(30)
            while one.recv(4096):
                pass
            one.close()


def test_what_is_said_is_sent_without_waiting_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, hear = [], listening.PatientProtocol.data_received

    def heard(self: listening.PatientProtocol, data: bytes) -> None:
        connection = self.transport.get_extra_info("socket")
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        hear(self, data)

    monkeypatch.setattr(listening.PatientProtocol, "data_received", heard)
    with listening_service(tmp_path) as settings:
        assert httpx.get(f"{settings.address}/health").status_code == 200
    assert seen
    assert all(seen)


def test_with_a_certificate_it_speaks_tls_and_has_browsers_insist(tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    made += ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with listening_service(tmp_path, certificate=certificate, key=key) as settings:
        assert checked(settings) is settings
        assert settings.address.startswith("https://")
        trusting = ssl.create_default_context(cafile=certificate)
        answer = httpx.get(f"{settings.address}/health", verify=trusting)
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{settings.port}/health")


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_a_proxy_each_client_s_own_guesses_count(tmp_path: Path, trusted: bool) -> None:
    proxies = {"proxies": ("127.0.0.1",)} if trusted else {}
    with listening_service(tmp_path, **proxies) as settings, httpx.Client() as client:

        def status(address: str) -> int:
            headers = {"authorization": "Bearer swp_a_b", "x-forwarded-for": address}
            return client.get(f"{settings.address}/api/v1/sweeps", headers=headers).status_code

        assert {status("10.1.1.1") for _ in range(ALLOWED)} == {401}
        assert status("10.1.1.1") == 429
        # Whoever is not trusted to say who asks is one client, whatever it says.
        assert status("10.2.2.2") == (401 if trusted else 429)


def test_a_log_line_holds_no_token(tmp_path: Path) -> None:
    token = accounts.PREFIX + "_abcdefgh_" + "x" * 43
    record = logging.LogRecord("a", 30, "", 0, "GET /?t=%s Bearer abcdefgh", (token,), None)
    line = listening.Redacting("%(message)s").format(record)
    assert "xxxx" not in line
    assert "Bearer abcdefgh" not in line


def _below(process: Process) -> list[psutil.Process]:
    return psutil.Process(process.process.pid).children(recursive=True)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended
        return b""
