"""The sweep files that are shipped: valid, known to editors, and opening with their command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweeper.sweepfile import Toggle, load_sweep, parse_sweep
from sweeper.sweepfile.document import read_document
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.schema import schema_text, sweep_schema

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a few images where the files expect the real data sets."""
    monkeypatch.chdir(tmp_path)
    cifar = tmp_path / "data" / "cifar-10-batches-bin"
    faces = tmp_path / "data" / "celeba" / "img_align_celeba"
    cifar.mkdir(parents=True)
    faces.mkdir(parents=True)
    for number in range(1, 6):
        (cifar / f"data_batch_{number}.bin").write_bytes(bytes(3073))
    picture = faces / "000001.png"
    Image.fromarray(np.zeros((80, 64, 3), np.uint8)).save(picture)
    encoded = [{"bytes": picture.read_bytes(), "path": "000001.png"}]
    table = pa.table({"image": encoded, "label": pa.array([3], pa.int64())})
    pq.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_is_valid_and_opens_with_its_command(path: Path) -> None:
    sweep = load_sweep(path)
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    verb = "ablate" if sweep.is_ablation else "run"
    assert first.startswith(f"# sweeper {verb} search_spaces/{path.name}")
    assert second == "# yaml-language-server: $schema=../docs/sweep.schema.json"
    assert sweep.name == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_fits_the_schema_that_editors_use(path: Path) -> None:
    document = read_document(path.read_text(encoding="utf-8"), path.name)
    errors = jsonschema.Draft202012Validator(sweep_schema()).iter_errors(document.root)
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def test_the_shipped_schema_is_the_one_that_sweeper_schema_prints() -> None:
    shipped = (FOLDER / "../docs/sweep.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(), "run: sweeper schema > docs/sweep.schema.json"


def test_the_quickstart_searches_what_it_promises() -> None:
    sweep = load_sweep(FOLDER / "quickstart.yaml")
    toggles = {item.trick for item in sweep.parameters if isinstance(item.domain, Toggle)}
    assert toggles == {
        "ema",
        "spectral_norm",
        "gradient_penalty",
        "weight_clipping",
        "label_smoothing",
        "instance_noise",
    }
    assert sweep.limits.trials == 20
    paths = {item.path for item in sweep.parameters}
    assert {"optimizer.generator.lr", "optimizer.discriminator.lr", "batch_size", "loss"} <= paths


def test_a_default_range_has_no_part_that_the_length_of_the_training_makes_dead() -> None:
    def decay(steps: int, ema: str = "true") -> Parameter | None:
        text = (
            f"name: s\nlimits: {{trials: 2}}\nbase: {{data: digits, steps: {steps}, tricks: "
            f"{{ema: {ema}}}}}\nparameters: {{tricks.ema: {{toggle: true, knobs: default}}}}"
        )
        found = {one.path: one for one in parse_sweep(text).parameters}
        return found.get("tricks.ema.decay")

    def top(parameter: Parameter | None) -> float:
        assert parameter is not None
        assert isinstance(parameter.domain, Range)
        return parameter.domain.high

    assert top(decay(800)) == 0.9888  # (1 + 799)/(10 + 799)
    assert top(decay(100_000)) == 0.9999
    assert top(decay(800, "{warm_up: false}")) == 0.9999
    assert top(decay(800, "{start: 0.5}")) == 0.9779
    assert decay(80) is None


def test_a_sweep_that_has_begun_with_the_whole_of_a_default_range_goes_on_with_it() -> None:
    sweep = load_sweep(FOLDER / "ring.yaml")
    path = "tricks.ema.decay"
    wide = Range(0.9, 0.9999)
    begun = replace(
        sweep,
        parameters=tuple(
            replace(one, domain=wide) if one.path == path else one for one in sweep.parameters
        ),
    )
    assert sweep.parameter(path).domain == Range(0.9, 0.9977)
    assert begun.difference(sweep).refused == (f"parameters.{path}.max",)
    assert not begun.difference(sweep.going_on(begun))
    assert sweep.going_on(sweep).parameter(path).domain == Range(0.9, 0.9977)
