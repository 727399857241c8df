"""The sweep files that are shipped: valid, known to editors, and opening with their command."""

from __future__ import annotations

import itertools
import random
import shlex
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweeper.home import Home
from sweeper.preview import preview_of
from sweeper.search.ablation_trials import design_of
from sweeper.sweepfile import Toggle, load_sweep, parse_sweep
from sweeper.sweepfile.check import draw_from
from sweeper.sweepfile.document import read_document
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.schema import schema_text, sweep_schema
from sweeper.sweepfile.space import walk
from trials.config import load_config, problems_of
from trials.presets import merge
from trials.trainer import Training

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.rglob("*.yaml"))
STUDIES = [path for path in FILES if path.parent.name == "studies"]


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a few images where the files expect the real data sets."""
    monkeypatch.chdir(tmp_path)
    cifar = tmp_path / "data" / "cifar-10-batches-bin"
    faces = tmp_path / "data" / "celeba" / "img_align_celeba"
    mnist = tmp_path / "data" / "mnist"
    fashion = tmp_path / "data" / "fashion"
    for folder in (cifar, faces, mnist):
        folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        records = chance.integers(0, 256, (8, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(8)
        (cifar / f"{name}.bin").write_bytes(records.tobytes())
    for split in ("train", "t10k"):
        images = chance.integers(0, 256, (40, 28, 28)).astype(np.uint8)
        head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 40, 28, 28)
        (mnist / f"{split}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        labels = bytes((0, 0, 8, 1)) + struct.pack(">I", 40) + bytes(range(10)) * 4
        (mnist / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    shutil.copytree(mnist, fashion)
    for place in (faces, *(tmp_path / "data" / "imagenet" / name for name in ("cat", "dog"))):
        place.mkdir(parents=True, exist_ok=True)
        for number in range(1, 13):
            pixels = chance.integers(0, 256, (80, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number:06}.png")
    for split in ("train", "test"):
        shutil.copytree(faces, faces.parent / split)
    picture = faces / "000001.png"
    encoded = [{"bytes": picture.read_bytes(), "path": "000001.png"}]
    table = pa.table({"image": encoded, "label": pa.array([3], pa.int64())})
    pq.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_is_valid_and_opens_with_its_command(path: Path) -> None:
    sweep = load_sweep(path)
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    verb = "ablate" if sweep.is_ablation else "run"
    place = path.relative_to(FOLDER.parent).as_posix()
    assert first.startswith(f"# sweeper {verb} {place}")
    up = "../" * (place.count("/"))
    assert second == f"# yaml-language-server: $schema={up}docs/sweep.schema.json"
    assert sweep.name == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_fits_the_schema_that_editors_use(path: Path) -> None:
    document = read_document(path.read_text(encoding="utf-8"), path.name)
    errors = jsonschema.Draft202012Validator(sweep_schema()).iter_errors(document.root)
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


REDUCED: dict[str, Any] = {
    "networks": {"generator": {"width": 4}, "discriminator": {"width": 4}},
    "batch_size": 12,
    "steps": 2,
    "evaluation": {"every": 2, "samples": 16, "batch": 16, "standing_batches": 1, "grid": 4},
    "device": "cpu",
}
ONE_OF_A_KIND = {"lucic_began", "heusel", "kurach", "progressive", "pacgan_grid", "conditional"}


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=[] if path.stem in ONE_OF_A_KIND else [pytest.mark.slow],
        )
        for path in STUDIES
    ],
)
def test_a_study_runs_at_reduced_length_on_stand_in_data(path: Path, tmp_path: Path) -> None:
    sweep = load_sweep(path)
    reduced = dict(REDUCED)
    if load_config(sweep.base).source.items == "image":
        extractor = {"extractor": "digits", "metrics": ["fid"]}
        reduced = merge(reduced, {"evaluation": extractor})
    chance = random.Random(0)
    for number in range(2):
        draw = walk(sweep, lambda parameter: draw_from(parameter, chance))
        config = merge(draw.config, reduced)
        assert problems_of(config) == []
        training = Training(load_config(config), tmp_path / str(number))
        assert training.advance().step == 2


def size(name: str) -> tuple[int, int]:
    """Trials that a study is previewed with, and runs on fresh seeds after them."""
    sweep = load_sweep(FOLDER / "studies" / f"{name}.yaml")
    preview = preview_of(sweep, 1, Home(FOLDER))
    return preview["trials"], preview["replicates"]


@pytest.mark.usefixtures("stand_ins")
def test_studies_are_as_large_as_published() -> None:
    gans = [path for path in STUDIES if path.stem.startswith("lucic_")]
    assert len(gans) == 7
    chance = random.Random(0)
    for path in gans:
        assert size(path.stem) == (100, 50)
        draw = walk(load_sweep(path), lambda parameter: draw_from(parameter, chance))
        players = load_config(draw.config).optimizer
        assert players.generator == players.discriminator  # one rate and one β1 for both
    assert size("heusel") == (16, 0)
    assert size("kurach") == (120, 25)
    # A row without packing and three with, ten seeds each.
    assert size("pacgan_ring") == size("pacgan_grid") == (40, 0)
    table = load_sweep(FOLDER / "studies" / "biggan_table1.yaml")
    cells = design_of(table).possible
    assert cells[0].label == "full"
    assert len(cells) == 6
    for cell in cells:
        assert set(cell.settings) == {parameter.path for parameter in table.parameters}


@pytest.mark.usefixtures("stand_ins")
def test_each_gan_of_lucic_et_al_is_a_study_of_four_data_sets_by_what_its_file_says() -> None:
    gans = [path for path in STUDIES if path.stem.startswith("lucic_")]
    said = [_other_data(path) for path in gans]
    names = ("", "_fashion", "_cifar", "_celeba")
    for path, others in zip(gans, said, strict=True):
        assert [settings[0] for settings in others] == [f"name={path.stem}{n}" for n in names[1:]]
        assert [settings[1:] for settings in others] == [settings[1:] for settings in said[0]]
    shapes = set()
    for settings in ([], *said[0]):
        sweep = load_sweep(gans[0], settings)
        config = load_config(sweep.base)
        assert config.evaluation.reference == "test"
        shapes.add((config.shape(), config.steps))
        assert config.source.test_split() is not None
    assert shapes == {((1, 32, 32), 18750), ((3, 32, 32), 78125), ((3, 64, 64), 101731)}


def _other_data(path: Path) -> list[list[str]]:
    """The settings that a file's opening comment gives for each further data set."""
    comment = [line[1:] for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    words = shlex.split(" ".join(line for line in comment if line.lstrip().startswith("--set ")))
    settings = [word for word in words if word != "--set"]
    starts = [n for n, word in enumerate(settings) if word.startswith("name=")]
    return [settings[a:b] for a, b in itertools.pairwise([*starts, len(settings)])]


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
