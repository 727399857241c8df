"""A home that an earlier version wrote is listed, shown and gone on with, bit for bit.

`tests/data/old_home.tar.gz` was written by commit 3f1c277 of this repository: a finished search, a
finished ablation, and `killed`, whose driver got a SIGKILL when trial 00002 had trained 500 of its
3,000 steps. MLflow's files and what else is only a copy were left out, and checkpoints of trials
that had ended. `tests/data/old_home.json` has the trials as that commit read them from its own
study, of `killed` after it had gone on with a copy of that home to the end.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from sweeper.trial import Trial

DATA = Path(__file__).parents[1] / "data"
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((DATA / "old_home.json").read_text())
SWEEPS = ("ablation", "killed", "search")

ARITHMETIC = "5647330485f017541b7468f8498f3574c9f4bb8dd0081e05d4d3ea6ed533d2bf"
"""What `arithmetic` gives on the machine that wrote the home."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with tarfile.open(DATA / "old_home.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        archive.extractall(tmp_path / "home")
    return tmp_path / "home"


def trials(home: Path, name: str) -> list[Trial]:
    folder = Home.at(home).existing(name)
    return records_of(folder, sweep_of(folder))


def told(trial: Trial) -> dict[str, Any]:
    """A trial in the words of `old_home.json`."""
    return {
        "number": trial.number,
        "state": trial.state,
        "role": trial.role,
        "of": trial.of,
        "cell": trial.cell,
        "values": trial.values,
        "objective": trial.objective and trial.objective[0],
        "fid": {str(step): value for step, value in trial.curve("fid").items()},
        "symptom": trial.cause,
        "final": None if trial.final is None else trial.final.metrics,
    }


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that must succeed."""
    status = run(list(arguments))
    output = capsys.readouterr()
    assert status == 0, output.err
    return output.out


def files(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_its_sweeps_are_listed_with_their_states(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(home)
    listed = json.loads(said(capsys, "ls", "--home", str(home), "--json"))
    states = {entry["name"]: entry["state"] for entry in listed}
    assert states == {"ablation": "finished", "killed": "interrupted", "search": "finished"}
    status = said(capsys, "status", "killed", "--home", str(home))
    assert "2 of 4 over" in status
    assert "00002" in status
    assert files(home) == before


@pytest.mark.parametrize("name", SWEEPS)
def test_its_trials_are_read_as_they_were_written(name: str, home: Path) -> None:
    there = trials(home, name)
    expected = EXPECTED[name]
    if name == "killed":
        assert (there[2].state, list(there[2].curve("fid"))) == ("running", [500])
        there, expected = there[:2], expected[:2]
    assert [told(trial) for trial in there] == expected


@pytest.mark.parametrize("name", SWEEPS)
def test_every_command_that_looks_at_a_sweep_answers(
    name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", str(home))
    status = said(capsys, "status", name, *at)
    leaders = json.loads(said(capsys, "top", name, *at, "--json"))
    base = EXPECTED[name][0]
    shown = said(capsys, "show", name, "0", *at)
    assert f"{base['fid'][max(base['fid'], key=int)]:.4g}" in shown
    table = said(capsys, "table", name, *at)
    said(capsys, "report", name, *at)
    page = (home / name / "report" / "report.html").read_text()
    number = {"ablation": "1.2 ± 1.5 (3)", "search": "0.49 ± 0.33 (2)", "killed": "0.1782"}[name]
    assert number in table
    assert number in page
    if name != "ablation":
        assert leaders[0]["number"] == 0
        assert f"{base['objective']:.4g}" in status


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_that_was_killed_goes_on_bit_for_bit(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home.parent / "killed.yaml"
    shutil.copy(home / "killed" / "sweep.yaml", file)
    said(capsys, "run", str(file), "--home", str(home))
    there = trials(home, "killed")
    # Of trial 00002 the first checkpoint was taken up, so nothing was trained again.
    assert [trial.attempts for trial in there] == [1, 1, 2, 1, 1, 1]
    assert all(trial.over for trial in there)
    if arithmetic() != ARITHMETIC:
        pytest.skip("this processor rounds otherwise than the one that wrote the home")
    assert [told(trial) for trial in there] == EXPECTED["killed"]


@pytest.mark.parametrize("name", ["search", "ablation"])
def test_a_sweep_that_was_finished_stays_so(
    name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home.parent / f"{name}.yaml"
    shutil.copy(home / name / "sweep.yaml", file)
    verb = "ablate" if name == "ablation" else "run"
    said(capsys, verb, str(file), "--home", str(home))
    assert [told(trial) for trial in trials(home, name)] == EXPECTED[name]


def arithmetic() -> str:
    """A fingerprint of how torch rounds here: a small game in bare torch, nothing of ours.

    The last bit of a product may differ from one kind of processor to another, and a GAN makes
    another training of it.
    """
    generator = torch.Generator().manual_seed(0)

    def weights(*shapes: Sequence[int]) -> list[torch.Tensor]:
        return [torch.randn(*shape, generator=generator).requires_grad_() for shape in shapes]

    first, second = weights((4, 8), (8, 2)), weights((2, 8), (8, 1))
    play = torch.optim.Adam([*first, *second], 1e-3)
    for _ in range(200):
        z = torch.randn(16, 4, generator=generator)
        fake = torch.relu(z @ first[0]) @ first[1]
        score = torch.nn.functional.leaky_relu(fake @ second[0], 0.2) @ second[1]
        play.zero_grad()
        torch.nn.functional.softplus(-score).mean().backward()
        play.step()
    content = b"".join(tensor.detach().numpy().tobytes() for tensor in (*first, *second))
    return hashlib.sha256(content).hexdigest()
