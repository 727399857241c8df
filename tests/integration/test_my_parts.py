"""examples/my_parts, installed into an environment of its own, in a sweep on a real Ray."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sweeper.home import Home
from sweeper.tracking.runs import find_runs

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "my_parts"


class Environment:
    """A virtual environment that sees this one's packages, and has what is installed into it."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        (self.packages,) = (folder / "lib").glob("python*/site-packages")
        others = [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        (self.packages / "others.pth").write_text("\n".join(dict.fromkeys(others)) + "\n")

    def install(self, source: Path, scratch: Path) -> None:
        """As pip does it, without a download."""
        shutil.copytree(source, scratch)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
                *("--disable-pip-version-check", "--no-build-isolation"),
                *("--target", str(self.packages), str(scratch)),
            ],
            check=True,
        )

    def run(self, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
        """The command as it is in this environment."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.python), "-m", "sweeper", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            env={**kept, "SWEEPER_HOME": str(home)},
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("fresh")
    made = Environment(folder / "venv")
    made.install(EXAMPLE, folder / "source")
    return made


@pytest.mark.slow  # tests/integration/test_parts_of_a_script.py goes the whole way in CI
@pytest.mark.timeout(600)
def test_a_distribution_of_ones_own_is_used_like_our_own_parts(
    environment: Environment, tmp_path: Path
) -> None:
    home, file = tmp_path / "home", str(EXAMPLE / "sweep.yaml")
    listed = environment.run("parts", "--json", home=home)
    assert listed.returncode == 0, listed.stderr
    told = json.loads(listed.stdout)
    mine = {part["name"]: part["kind"] for part in told["parts"] if part["from"] == "my-parts 1.0"}
    assert mine == {
        "contrast": "trick",
        "golden": "sampler",
        "mean_shift": "measure",
        "spherical": "network family",
        "stripes": "data source",
    }
    assert "my-parts 1.0" in environment.run("tricks", "contrast", home=home).stdout
    assert environment.run("validate", file, home=home).stdout.endswith(": valid; 3 trials\n")

    done = environment.run("run", file, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(environment.run("status", "my-parts", "--json", home=home).stdout)
    assert (shown["state"], shown["over"]) == ("finished", 3)
    stored = json.loads((Home.at(home).sweep("my-parts").path / "spec.json").read_text())
    assert stored["base"]["parts"] == ["my-parts"]
    runs = find_runs(f"sqlite:///{home}/mlflow.db", "my-parts")
    assert len(runs) == 4
    assert {run["tags"]["sweeper.parts"] for run in runs} == {"my-parts 1.0"}
    assert any("sweeper.model" in run["tags"] for run in runs)
    for run in runs:
        if run["tags"]["sweeper.trial"] != "sweep":
            assert "mean_shift of my-parts 1.0" in run["tags"]["protocol.settings"]


@pytest.mark.timeout(600)
def test_each_of_its_parts_keeps_the_promises_of_its_kind(environment: Environment) -> None:
    done = subprocess.run(
        [
            *(str(environment.python), "-m", "pytest", "-q", "-c", os.devnull, "--rootdir"),
            *(str(environment.packages), "-p", "no:cacheprovider"),
            str(EXAMPLE / "test_my_parts.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_it_one_sentence_says_what_to_install(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sweeper.cli.main import run

    assert run(["validate", str(EXAMPLE / "sweep.yaml")]) == 2
    told = capsys.readouterr().out
    assert "1 problem" in told
    assert "pip install my-parts" in told
