"""The command line against a server: the same words as against a home, and where it looks."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from sweeper.cli import following
from sweeper.cli.main import run
from sweeper.client.login import login_file
from sweeper.search.ledger import Ledger
from sweeper.service.state.tables import Driver, Lease, Sweep
from tests.service import studies
from tests.service.conftest import Lab
from tests.service.receivers import until
from tests.service.test_client import ENDINGS, FILE, WRONG

Said = tuple[int, str, str]
Verb = Callable[..., Said]


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom nothing is known."""
    for name in ("SWEEPER_SERVER", "SWEEPER_TOKEN", "SWEEPER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sweeper(capsys: pytest.CaptureFixture[str]) -> Verb:
    """Run a verb: its status, and what it said on both streams."""

    def verb(*arguments: object) -> Said:
        status = run([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return verb


@pytest.fixture
def signed_in(lab: Lab, address: str, monkeypatch: pytest.MonkeyPatch, sweeper: Verb) -> str:
    """Bo is signed in; the address."""
    with monkeypatch.context() as only_now:
        only_now.setenv("SWEEPER_TOKEN", lab.tokens["bo"])
        assert sweeper("login", address)[0] == 0
    return address


@pytest.fixture
def study(lab: Lab) -> Ledger:
    """Bo's sweep `small`, with a trial of each ending."""
    row = lab.submit("bo", "small", trials=50)
    ledger = studies.begin(lab.service.settings.home.sweep("small"), row)
    studies.run(ledger, ENDINGS)
    return ledger


# Where it looks -----------------------------------------------------------------------------------


def test_a_login_is_kept_for_its_owner_alone(
    lab: Lab, address: str, sweeper: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lab.tokens["bo"]
    monkeypatch.setattr(sys, "stdin", Pipe(f"  {token}\n"))
    status, out, err = sweeper("login", address + "/")
    assert status == 0
    assert token not in out + err
    file = login_file()
    assert json.loads(file.read_text()) == {"address": address, "token": token}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sweeper("logout")[0] == 0
    assert not file.exists()
    assert sweeper("logout") == (0, "not signed in\n", "")


class Pipe:
    """A standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._text


def test_whoever_has_no_folder_has_no_login(
    sweeper: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    status, out, err = sweeper("ls")
    assert (status, str(tmp_path / "sweeps") in out, err) == (0, True, "")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", Mock(side_effect=KeyError))
    assert sweeper("ls")[0] == 0
    status, _, err = sweeper("logout")
    assert (status, "$XDG_CONFIG_HOME" in err) == (2, True)


@pytest.mark.parametrize("token", ["", "swp_x_y", "two words", "ü"])
def test_a_wrong_token_is_not_kept(
    address: str, token: str, sweeper: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(token))
    status, out, err = sweeper("login", address)
    assert (status, out) == (2, "")
    assert "token" in err
    assert not login_file().exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTP_PROXY", "foo://proxy"),
        ("NO_PROXY", "[::1"),
        ("SSL_CERT_FILE", "/nowhere.pem"),
    ],
)
def test_an_environment_that_allows_no_connection_is_named(
    name: str, value: str, sweeper: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_TOKEN", "swp_1_secret")
    monkeypatch.setenv(name, value)
    status, out, err = sweeper("ls", "--server", "http://lab.invalid")
    assert (status, out) == (2, "")
    assert name in err
    assert "lab.invalid" in err


@pytest.mark.usefixtures("signed_in")
def test_a_server_on_this_machine_is_asked_without_its_proxy(
    sweeper: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as proxy:  # which would have the token
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert sweeper("ls")[0] == 0
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_a_place_is_chosen_without_surprise(
    lab: Lab, signed_in: str, sweeper: Verb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab.submit("bo", "there")
    status, out, err = sweeper("ls")
    assert (status, "there" in out, signed_in in err) == (0, True, True)
    assert "there" not in sweeper("ls", "--home", tmp_path / "none")[1]
    assert sweeper("ls", "--home", tmp_path, "--server", signed_in)[0] == 2
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path / "none"))
    assert "there" not in sweeper("ls")[1]
    status, out, err = sweeper("ls", "--server", signed_in)
    assert (status, "there" in out, err) == (0, True, "")
    monkeypatch.setenv("SWEEPER_SERVER", "http://127.0.0.1:9")
    assert "no token for http://127.0.0.1:9" in sweeper("ls")[2]
    login_file().write_text("{}")
    monkeypatch.delenv("SWEEPER_SERVER")
    monkeypatch.delenv("SWEEPER_HOME")
    assert "is damaged" in sweeper("ls")[2]
    assert sweeper("ls", "--home", tmp_path)[0] == 0


def test_whoever_asks_no_server_waits_for_no_client(tmp_path: Path) -> None:
    code = (
        "import sys; from sweeper.cli.main import run; run(sys.argv[1:]);"
        "print([m for m in ('httpx', 'sqlalchemy', 'fastapi', 'torch') if m in sys.modules])"
    )
    for verb in (["--help"], ["ls", "--home", str(tmp_path)], ["run", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *verb], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_token_is_in_no_argument_of_any_verb() -> None:
    assert run(["login", "http://127.0.0.1:9", "swp_a_b"]) == 2
    assert run(["login", "http://127.0.0.1:9", "--token", "swp_a_b"]) == 2


# The same words -----------------------------------------------------------------------------------


VERBS = [
    "top small",
    "top small --json",
    "show small 0",
    "show small 1",
    "show small 0 --json",
    "table small -f latex",
    "show small 7",
    "table small -f latx",
    "top smal",
]


@pytest.mark.usefixtures("study")
def test_a_server_says_what_a_home_says(lab: Lab, signed_in: str, sweeper: Verb) -> None:
    for verb in VERBS:
        status, out, err = sweeper(*verb.split(), "--home", lab.service.settings.home.path)
        theirs = sweeper(*verb.split(), "--server", signed_in)
        assert theirs[:2] == (status, out), verb
        # Each says of its own where it has looked for what is not there.
        assert theirs[2] == err or (verb == "top smal" and "did you mean 'small'" in theirs[2])


@pytest.mark.usefixtures("study")
def test_status_is_the_same_but_for_who_drives_it(lab: Lab, signed_in: str, sweeper: Verb) -> None:
    here = sweeper("status", "small", "--home", lab.service.settings.home.path)[1].splitlines()
    there = sweeper("status", "small", "--server", signed_in)[1].splitlines()
    assert here[1:] == there[1:]
    assert there[0] == "small: queued"
    with lab.database.writing() as session:
        (lease,) = session.query(Lease).all()
        lease.place, lease.reason = 2, "bo has used more than their share"
    drive(lab, lease.sweep_id, host="head")
    said = sweeper("status", "small", "--server", signed_in)[1]
    assert said.startswith("small: queued, driven by a driver on head\n")
    assert "waits    2 before it in the queue; bo has used more than their share" in said
    shown = json.loads(sweeper("status", "small", "--server", signed_in, "--json")[1])
    same = json.loads(
        sweeper("status", "small", "--home", lab.service.settings.home.path, "--json")[1]
    )
    assert shown.keys() == same.keys()
    assert (shown["counts"], shown["disk"]) == (same["counts"], same["disk"])


def test_steering_is_the_same(lab: Lab, signed_in: str, sweeper: Verb) -> None:
    lab.submit("bo", "small")
    lab.submit("cy", "theirs")
    assert "`sweeper resume small` continues" in sweeper("pause", "small")[1]
    assert sweeper("resume", "small")[1] == "small: resumed\n"
    assert "ends after its running trials; `sweeper resume small`" in sweeper("stop", "small")[1]
    assert sweeper("cancel", "small")[1].startswith("small: ends now")
    status, out, err = sweeper("pause", "theirs")
    assert (status, out) == (2, "")
    assert "cy" in err
    assert sweeper("cancel", "nothing")[0] == 2
    assert sweeper("report", "small")[1] == f"{signed_in}/sweeps/small\n"


def test_the_queue_is_shown(lab: Lab, signed_in: str, sweeper: Verb, tmp_path: Path) -> None:
    assert sweeper("queue")[1] == f"no sweep is running or waiting at {signed_in}\n"
    state(lab, lab.submit("cy", "theirs").id, place=0, reason="no machine has a GPU")
    titles, row = sweeper("queue")[1].splitlines()
    assert titles.split() == [
        "place",
        "sweep",
        "owner",
        "priority",
        "state",
        "at",
        "work",
        "about",
        "why",
        "not",
        "more",
    ]
    assert row.split()[:6] == ["1", "theirs", "cy", "normal", "queued", "0/0"]
    assert row.endswith("no machine has a GPU")
    assert json.loads(sweeper("queue", "--json")[1])[0]["name"] == "theirs"
    assert sweeper("queue", "--home", tmp_path)[0] == 2


def test_a_log_is_shown_and_followed(
    lab: Lab, study: Ledger, signed_in: str, sweeper: Verb
) -> None:
    folder = lab.service.settings.home.sweep("small")
    folder.trial(3).mkdir(parents=True)
    log = folder.trial(3) / "log.txt"
    log.write_text("one\ntwo \N{LINE SEPARATOR}\x85\x1b[31m\nthree\n")
    home = ("--home", lab.service.settings.home.path)
    for asked in ([], ["--tail", "2"]):
        here = sweeper("logs", "small", "3", *asked, *home)
        assert sweeper("logs", "small", "3", *asked)[:2] == here[:2]
        assert "\\x1b[31m" in here[1]
    writer = threading.Thread(target=_write_on, args=(log, study))
    writer.start()
    said = sweeper("logs", "small", "3", "--tail", "1", "--follow")
    writer.join()
    assert said[:2] == (0, "three\nfour\nfive\n")
    assert sweeper("logs", "small", "3", "-f", "-n", "1", *home)[1] == "five\n"
    assert sweeper("logs", "small", "9")[0] == 2


def _write_on(log: Path, study: Ledger) -> None:
    """What a trial does that ends soon."""
    for line in ("fo", "ur\n", "five\n"):
        time.sleep(0.2)
        with log.open("a") as file:
            file.write(line)
    study.complete(3, [1.0])


@pytest.mark.parametrize("overrides", [[], ["--set", "limits.parallel=0"]])
def test_a_wrong_file_has_the_same_problems(
    signed_in: str, sweeper: Verb, tmp_path: Path, overrides: list[str]
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(WRONG)
    here = sweeper("validate", file, *overrides, "--home", tmp_path)
    there = sweeper("validate", file, *overrides, "--server", signed_in)
    assert there == here
    assert here[0] == 2
    status, out, err = sweeper("run", file, *overrides, "--server", signed_in)
    assert (status, out) == (2, "")
    assert f"{file}:2: base.stepz" in err


def test_a_right_file_has_the_same_plan(signed_in: str, sweeper: Verb, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(FILE)
    for verb in (["validate", file], ["preview", file, "--no-probe", "--set", "limits.trials=1"]):
        here = sweeper(*verb, "--home", tmp_path)
        assert sweeper(*verb, "--server", signed_in) == here
    assert sweeper("validate", file, "--data", "--server", signed_in)[0] == 2


# A sweep that is followed -------------------------------------------------------------------------


def drive(lab: Lab, sweep_id: str, **said: Any) -> None:
    """What a driver says of a sweep."""
    with lab.database.writing() as session:
        driver = session.get(Driver, sweep_id)
        if driver is None:
            driver = Driver(sweep_id=sweep_id, attempt=1, job="x", begun=time.time())
            session.add(driver)
        for key, value in {"heartbeat": time.time(), **said}.items():
            setattr(driver, key, value)


def state(lab: Lab, sweep_id: str, **said: Any) -> None:
    """What the dispatcher says of it."""
    with lab.database.writing() as session:
        lease = session.get_one(Lease, sweep_id)
        for key, value in {"since": time.time(), **said}.items():
            setattr(lease, key, value)


class Looks:
    """The clock of a follower, which counts how often it has looked."""

    time = staticmethod(time.time)

    def __init__(self) -> None:
        self.count = 0

    def sleep(self, seconds: float) -> None:
        self.count += 1
        time.sleep(0.01)

    def pass_by(self) -> None:
        """Wait until all that is there now was seen."""
        before = self.count
        until(lambda: self.count >= before + 2)


def stand_in(lab: Lab, name: str, end: str, looks: Looks) -> None:
    """Dispatch and drive a sweep as soon as it is there."""

    def find() -> Sweep | None:
        with lab.database.reading() as session:
            return session.query(Sweep).filter_by(name=name).first()

    until(find)
    row = find()
    assert row is not None
    state(lab, row.id, reason="nobody else waits", place=0)
    looks.pass_by()
    state(lab, row.id, state="running", place=None, reason="")
    ledger = studies.begin(lab.service.settings.home.sweep(name), row)
    drive(lab, row.id, phase="searching", at_work=1)
    looks.pass_by()
    for ending in ("completed", "failed"):
        studies.run(ledger, [ending])
        looks.pass_by()
    drive(lab, row.id, outcome=end, ended=time.time())
    state(lab, row.id, state=end, message="as it was asked" if end == "stopped" else "")


@pytest.mark.parametrize(("end", "status"), [("finished", 0), ("stopped", 0), ("failed", 1)])
def test_a_sweep_is_followed_to_its_end(
    lab: Lab,
    signed_in: str,
    sweeper: Verb,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    status: int,
) -> None:
    looks = Looks()
    monkeypatch.setattr(following, "time", looks)
    file = tmp_path / "my.yaml"
    file.write_text(FILE)
    driver = threading.Thread(target=stand_in, args=(lab, "sent", end, looks))
    driver.start()
    done, out, _ = sweeper("run", file)
    driver.join()
    assert done == status
    lines = out.splitlines()
    assert lines[0] == f"sent: submitted; {signed_in}/sweeps/sent"
    assert "starting: nobody else waits" in lines
    assert "trial 00000 completed, fid 50; 1 of 2, best fid 50 by trial 00000" in lines
    assert any(
        line.startswith("trial 00001 failed, error: ValueError: no; 2 of 2") for line in lines
    )
    assert end in lines
    assert f"report   {signed_in}/sweeps/sent" in lines
    assert ("go on    sweeper resume sent" in lines) == (end != "finished")
    assert sweeper("ls")[1].splitlines()[1].split()[:6] == ["sent", "bo", end, "0", "of", "2"]


def test_ctrl_c_detaches_and_says_so(
    lab: Lab, signed_in: str, sweeper: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "time", SimpleNamespace(time=time.time, sleep=interrupted))
    file = tmp_path / "my.yaml"
    file.write_text(FILE)
    status, _, err = sweeper("run", file)
    assert status == 130
    assert f"sent continues at {signed_in}: `sweeper status sent` shows its progress" in err
    status, out, err = sweeper("run", file, "--detach")
    assert (status, out) == (2, "")
    assert "`sweeper resume NAME` continues an existing sweep" in err
    status, out, _ = sweeper("run", file, "--detach", "--set", "name=other", "--json")
    assert (status, json.loads(out)["name"]) == (0, "other")
    assert [row.wanted for row in _sweeps(lab)] == ["run", "run"]


def _sweeps(lab: Lab) -> list[Sweep]:
    with lab.database.reading() as session:
        return list(session.query(Sweep))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "my.yaml", "--detach", "--home", "."),
        ("run", "my.yaml", "--adopt", "--server", "http://127.0.0.1:9"),
        ("ls", "--server", "127.0.0.1:9"),
        ("ls", "--server", "http://u:p@127.0.0.1:9"),
        ("status", "x", "--server", ""),
        ("login", "127.0.0.1:9"),
        ("login", "http://127.0.0.1:9/?x"),
    ],
)
def test_nonsense_has_an_answer(
    sweeper: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SWEEPER_TOKEN", "swp_a_b")
    (tmp_path / "my.yaml").write_text(FILE)
    status, out, err = sweeper(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("sweeper: ")
    assert len(err.splitlines()) == 1


def test_a_server_that_is_away_is_told_of(
    sweeper: Verb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sweeper.client import client as module

    monkeypatch.setenv("SWEEPER_TOKEN", "swp_a_b")
    real = module.Transport
    monkeypatch.setattr(module, "Transport", lambda login, **_: real(login, timeout=5, patience=0))
    status, out, err = sweeper("ls", "--server", "http://127.0.0.1:9")
    assert (status, out) == (1, "")
    assert err.startswith("sweeper: http://127.0.0.1:9 does not answer")


# Tokens, on the server's own machine --------------------------------------------------------------


def test_tokens_are_made_listed_and_revoked(lab: Lab, sweeper: Verb, tmp_path: Path) -> None:
    home = tmp_path / "new"
    assert "no service" in sweeper("token", "ls", "--home", home)[2]
    assert not home.exists()
    status, token, told = sweeper("token", "new", "ada", "--scope", "admin", "--home", home)
    assert status == 0
    assert token.startswith("swp_")
    assert token.strip() not in told
    assert stat.S_IMODE((home / "service.db").stat().st_mode) == 0o600
    sweeper("token", "new", "bo", "--days", "2", "--home", home)
    listed = json.loads(sweeper("token", "ls", "--json", "--home", home)[1])
    assert [(one["person"], one["scope"]) for one in listed] == [("bo", "submit"), ("ada", "admin")]
    assert token.split("_", 2)[2].strip() not in json.dumps(listed)
    assert "is revoked" in sweeper("token", "revoke", token.strip(), "--home", home)[1]
    assert "revoked" in sweeper("token", "ls", "--home", home)[1]
    assert sweeper("token", "people", "--home", home)[1].splitlines()[1].split()[0] == "ada"


@pytest.mark.parametrize(
    "arguments",
    [
        ("new", "bo", "--scope", "submt"),
        ("new", "", "--scope", "read"),
        ("new", "a\nb"),
        ("new", "bo", "--days", "0"),
        ("new", "bo", "--days", "nan"),
        ("revoke", "nothing"),
        ("revoke", "swp_no_such"),
    ],
)
def test_nonsense_makes_no_token(sweeper: Verb, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    sweeper("token", "new", "ada", "--home", tmp_path)
    status, out, err = sweeper("token", *arguments, "--home", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("sweeper: ")
    assert len(json.loads(sweeper("token", "ls", "--json", "--home", tmp_path)[1])) == 1


def test_the_database_that_the_environment_names_is_used(
    empty_database: str, sweeper: Verb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SWEEPER_DATABASE", empty_database)
    assert sweeper("token", "new", "ada", "--home", tmp_path)[0] == 0
    assert not list(tmp_path.glob("*.db"))
    assert "ada" in sweeper("token", "people", "--home", tmp_path)[1]
