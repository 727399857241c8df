"""The first hour: what README shows, done on a folder of mixed pictures and without a way out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.photos import take_photos

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
NO_WAY_OUT = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")

SHORT = (
    "base.evaluation.extractor=random",
    "base.steps=20",
    "base.evaluation.every=10",
    "base.evaluation.samples=64",
    "base.evaluation.final_samples=128",
    "scheduler.grace_steps=10",
    "limits.trials=2",
    "limits.parallel=2",
    "seeds.confirm_top=1",
    "seeds.replicates=2",
    "resources.cpu=1",
    "resources.gpu=0",
)
"""What makes the sweep of README small, and keeps it from asking for Inception."""


class Person:
    """Somebody at a terminal, with pictures in `~/photos` and README's sweep in `mine.yaml`."""

    def __init__(self, folder: Path, pictures: int) -> None:
        take_photos(folder / "photos", pictures)
        self.folder = folder
        sweep = re.search(r"```yaml\n(# sweeper run mine\.yaml\n.*?)```", README, re.DOTALL)
        assert sweep is not None
        (folder / "mine.yaml").write_text(sweep[1], encoding="utf-8")
        self.set = [word for setting in SHORT for word in ("--set", setting)]

    def types(self, *words: str, status: int = 0) -> str:
        """All that `sweeper` prints, once it has ended with this status."""
        done = subprocess.run(
            [sys.executable, "-m", "sweeper", *words],
            capture_output=True, text=True, check=False, timeout=600, cwd=self.folder,
            env={**os.environ, **NO_WAY_OUT, "HOME": str(self.folder), "no_proxy": "127.0.0.1"},
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode == status, told
        assert "Traceback" not in told
        return told


def test_mixed_pictures_are_looked_at_before_anything_runs(tmp_path: Path) -> None:
    person = Person(tmp_path, 107)
    told = person.types("validate", "--data", "mine.yaml", *person.set, status=2)
    assert "2 or more of 107 images" in told
    more = ("--set", "base.data.max_corrupt=0.02")
    told = person.types("validate", "--data", "mine.yaml", *person.set, *more)
    assert "105 images of 3 × 32 × 32" in told
    for mode in ("mode RGB (60)", "L (15)", "RGBA (15)", "CMYK (15)"):
        assert mode in told
    assert "photos/cut off.jpg (" in told
    assert "elsewhere.jpg (a link that leads nowhere)" in told
    assert "DS_Store" not in told


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_first_hour(tmp_path: Path) -> None:
    person = Person(tmp_path, 300)
    assert "mine.yaml: valid" in person.types("validate", "--data", "mine.yaml", *person.set)
    assert "tpe over 5 parameters" in person.types("preview", "mine.yaml", *person.set)
    ended = person.types("run", "mine.yaml", *person.set)
    assert re.search(
        r"^final\s+trial 0000\d, the winner, on fresh noise: fid_128 ", ended, re.MULTILINE
    )
    assert "on fresh seeds" in person.types("top", "mine")
    assert "mine: finished" in person.types("status", "mine")
    assert "fid" in person.types("table", "mine")
    person.types("sample", "mine", "-n", "64", "-o", "mine.png")
    with Image.open(tmp_path / "mine.png") as grid:
        assert grid.size == (8 * 34 + 2, 8 * 34 + 2)
    person.types("sample", "mine", "1", "-n", "10", "-o", "ten.npz")
    with np.load(tmp_path / "ten.npz") as arrays:
        assert arrays["images"].shape == (10, 3, 32, 32)
