"""MPS: found or started, shared by all who use it, stopped by the last of those who started it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper.sharing import mps
from sweeper.sharing.mps import CONTROL, PIPES, in_words, runs, under_mps

SCRIPT = """\
#!/bin/sh
# Knows what NVIDIA's program is asked here. A daemon is a file in its folder.
here=${CUDA_MPS_PIPE_DIRECTORY:-$TMPDIR/elsewhere}
if [ "$1" = -d ]; then
  echo start >> "$TMPDIR/said"; echo "${CUDA_VISIBLE_DEVICES-all}" > "$here/daemon"; exit
fi
read -r command
echo "$command" >> "$TMPDIR/said"
[ -e "$here/daemon" ] || exit 1
[ "$command" != quit ] || rm "$here/daemon"
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program was told; it is there, and nothing runs yet."""
    program = tmp_path / "bin" / CONTROL
    program.parent.mkdir()
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv(PIPES, raising=False)
    monkeypatch.setattr(mps.tempfile, "tempdir", str(tmp_path))
    return tmp_path / "said"


def orders(said: Path) -> list[str]:
    """What changes anything, of what the program was told."""
    return [line for line in said.read_text().split() if line in ("start", "quit")]


def ours(said: Path) -> Path:
    return said.parent / f"sweeper-mps-{os.getuid()}"


def test_a_daemon_is_started_for_those_inside_and_stopped_by_the_last_of_them(said: Path) -> None:
    with under_mps():
        assert Path(os.environ[PIPES]) == ours(said)
        assert runs()
        assert in_words() == (True, f"runs, started by a sweep ({ours(said)})")
        users = os.environ.pop(PIPES)  # another process of this account
        with under_mps():
            assert os.environ[PIPES] == users
        os.environ[PIPES] = users
        assert runs()
        assert orders(said) == ["start"]
    assert PIPES not in os.environ
    assert not runs()
    assert orders(said) == ["start", "quit"]


def test_a_daemon_has_all_gpus_of_the_machine_whoever_starts_it(
    said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")  # as in a worker of Ray's
    with under_mps():
        assert (ours(said) / "daemon").read_text() == "all\n"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_one_that_somebody_else_has_started_is_used_and_left(said: Path) -> None:
    theirs = said.parent / "elsewhere"
    theirs.mkdir()
    (theirs / "daemon").touch()
    with under_mps():
        assert PIPES not in os.environ
    assert orders(said) == []
    assert (theirs / "daemon").exists()
    assert in_words() == (True, "runs, and was started by somebody else")


def test_one_that_a_killed_sweep_has_left_is_found_and_stopped(said: Path) -> None:
    ours(said).mkdir(mode=0o700)
    (ours(said) / "daemon").touch()
    assert in_words() == (True, f"runs, started by a sweep ({ours(said)})")
    with under_mps():
        assert runs()
    assert orders(said) == ["quit"]
    assert not (ours(said) / "daemon").exists()


@pytest.mark.parametrize("trouble", ["none", "broken", "a folder of others"])
def test_without_it_everything_goes_on(trouble: str, said: Path) -> None:
    program = said.parent / "bin" / CONTROL
    if trouble == "none":
        program.unlink()
    elif trouble == "broken":
        program.write_text("#!/bin/sh\nexit 1\n")
    else:
        ours(said).mkdir()
        ours(said).chmod(0o777)
    with under_mps():
        assert PIPES not in os.environ
        assert not runs()
    assert in_words()[0] is (trouble != "none")


def test_who_only_asks_makes_nothing(said: Path) -> None:
    assert in_words() == (True, "can be started: a sweep does so with resources.mps: true")
    assert not ours(said).exists()


def test_it_is_given_back_where_what_is_inside_fails(said: Path) -> None:
    with pytest.raises(KeyError), under_mps():
        raise KeyError
    assert orders(said) == ["start", "quit"]
