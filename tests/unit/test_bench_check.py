"""`make bench-check` and `make bench-gpu`, as far as they go without the time or a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import check

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(1.17, "holds"), (1.18, "FELL by 15%"), (0.5, "holds"), (2.0, "FELL by 50%")],
)
def test_what_lost_more_than_15_percent_of_its_speed_is_named(
    measured: float, verdict: str
) -> None:
    (line,) = check.compared({"training/bare loop": measured}, {"training/bare loop": 1.0})
    assert line.endswith(verdict)


def test_the_status_says_whether_anything_fell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ratios.json"
    file.write_text(json.dumps({"training/bare loop": 1.0, "evaluation/other": 0.2}))
    monkeypatch.setattr(check, "FILE", file)
    ratio = 1.5
    monkeypatch.setattr(check, "ratios_of", lambda name: {"training/bare loop": ratio, "new": 3.0})

    def status(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["check", "--only", "training", *arguments])
        return check.main()

    assert status() == 1
    told = capsys.readouterr().out
    assert "FELL by 33%" in told
    assert "not committed yet" in told
    ratio = 1.1
    assert status() == 0
    assert status("--write") == 0
    kept = json.loads(file.read_text())
    assert kept == {"training/bare loop": 1.1, "evaluation/other": 0.2, "new": 3.0}


def test_every_benchmark_that_is_checked_has_a_committed_ratio() -> None:
    committed = json.loads(check.FILE.read_text())
    assert {name.partition("/")[0] for name in committed} == set(check.BENCHMARKS)


def test_every_benchmark_is_on_the_page_that_explains_them() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text("utf-8")
    runs = [file for file in (ROOT / "benchmarks").glob("*.py") if "__main__" in file.read_text()]
    assert [file.name for file in runs if file.name not in page] == ["check.py"]


def run(*arguments: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_a_gpu_its_rows_are_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run()
    assert done.returncode == 1
    assert done.stderr == "These rows are measured on an NVIDIA GPU; torch sees none here.\n"
    assert done.stdout == ""


@pytest.mark.slow
def test_the_rows_of_a_gpu_are_rehearsed_without_one() -> None:
    done = run("--rehearse")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines()]
    assert rows == [
        *("dcgan", "sngan", "penalty", "graphs", "compile", "busy", "evaluation", "sharing", "fid"),
    ]
