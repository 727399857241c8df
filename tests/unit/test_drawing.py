"""Samples for whoever wants to look: as the evaluations draw them, and the same again by seed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import parse_sweep
from sweeper.testing.small import small_config
from trials.errors import CheckpointError, DrawingError
from trials.evaluation.drawing import draw_samples
from trials.evaluation.export import load_generator, saved_header
from trials.files import atomic_write
from trials.trainer import Training


def kept(folder: Path, **changes: Any) -> Path:
    """A folder with the generator that a short training has kept."""
    Training(small_config(**changes), folder).advance()
    return folder


def test_samples_are_of_the_kept_generator_and_follow_from_the_seed(tmp_path: Path) -> None:
    folder = kept(tmp_path, tricks={"ema": True})
    drawn = draw_samples(folder, 20, seed=3)
    assert (drawn.step, drawn.weights, drawn.items.shape) == (3, "averaged", (20, 1, 8, 8))
    assert torch.equal(draw_samples(folder, 20, seed=3).items, drawn.items)
    assert not torch.equal(draw_samples(folder, 20, seed=4).items, drawn.items)
    # Where no trick has a say in sampling these are what the exported network makes of such z.
    network = load_generator(folder)
    z = torch.zeros(1, network.latent)
    near = draw_samples(folder, 20, truncation=1e-9).items
    torch.testing.assert_close(near, network(z).detach().expand(20, -1, -1, -1))


def test_a_kept_generator_can_be_read_by_those_that_its_folder_is_shared_with(
    tmp_path: Path,
) -> None:
    before = os.umask(0o007)
    try:
        kept(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "generator.safetensors").stat().st_mode & 0o777 == 0o660


def test_labels_that_are_not_given_are_drawn_in_the_proportions_of_the_data(
    tmp_path: Path,
) -> None:
    file = tmp_path / "unbalanced.npz"
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8)).astype(np.uint8)
    np.savez(file, images=images, labels=(np.arange(200) % 10 == 0).astype(int))
    data = {"name": "npz", "path": str(file)}
    changes = {"data": data, "conditioning": "concat", "evaluation": {"extractor": "random"}}
    network = load_generator(kept(tmp_path / "trial", **changes))
    seen: list[torch.Tensor] = []
    network.network.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    torch.manual_seed(0)
    network(torch.randn(2000, network.latent))
    # A tenth of 2000 ± 13 (one standard deviation); drawn uniformly it would be 1000.
    assert 150 < int(seen[0].sum()) < 250


def test_a_class_is_drawn_by_number_or_name_and_only_of_what_knows_classes(
    tmp_path: Path,
) -> None:
    folder = kept(tmp_path / "labelled", conditioning="concat")
    assert draw_samples(folder, 5, label="3").labels.tolist() == [3] * 5
    mixed = draw_samples(folder, 200)
    assert mixed.labels is not None
    assert set(mixed.labels.tolist()) == set(range(10))
    with pytest.raises(DrawingError, match=r"no class 10: there are 0 to 9$"):
        draw_samples(folder, 5, label="10")
    with pytest.raises(DrawingError, match="not trained on labels"):
        draw_samples(kept(tmp_path / "not"), 5, label="3")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latent": {"distribution": "uniform"}}, "this z is uniform"),
        ({"conditioning": "infogan"}, "means nothing with infogan: its codes"),
        ({"tricks": {"truncation": {"threshold": 0.5}}}, "≤ 0.5 already"),
    ],
)
def test_truncation_is_refused_where_it_means_nothing(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    folder = kept(tmp_path, **changes)
    with pytest.raises(DrawingError, match=told):
        draw_samples(folder, 5, truncation=0.5)
    assert len(draw_samples(folder, 5).items) == 5


def test_points_are_drawn_as_a_scatter(tmp_path: Path) -> None:
    folder = kept(tmp_path, data={"name": "ring", "points": 500}, networks={"family": "mlp"})
    drawn = draw_samples(folder, 30)
    assert drawn.items.shape == (30, 2)
    assert drawn.picture().size == (480, 480)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a sweep of two trials; the second is the better one, and has a generator."""
    sweep = parse_sweep(
        "name: two\nbase: {data: digits, steps: 6}\nparameters: {batch_size: {values: [8, 16]}}\n"
        "limits: {trials: 2}\n"
    )
    folder = Home.at(tmp_path).sweep("two")
    folder.create()
    atomic_write(folder.spec_json, json.dumps(sweep.to_dict()))
    ledger = Ledger.open(sweep, folder)
    for value in (2.0, 1.0):
        asked = ledger.ask()
        assert asked is not None
        ledger.started(asked.number)
        ledger.complete(asked.number, [value])
    kept(folder.trial(1))
    return tmp_path


def test_the_verb_draws_the_winner_as_a_picture_or_an_array(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("SWEEPER_HOME", str(home))
    assert run(["sample", "two", "-n", "9"]) == 0
    told = capsys.readouterr()
    assert "by trial 00001" in told.err
    assert told.out == "two-00001.png: 9 samples of trial 00001 at step 3\n"
    with Image.open("two-00001.png") as picture:
        assert picture.size == (3 * 34 + 2, 3 * 34 + 2)
    assert run(["sample", "two", "1", "-n", "9", "-o", "nine.npz"]) == 0
    with np.load("nine.npz") as arrays:
        assert list(arrays) == ["images"]
        assert (arrays["images"].shape, arrays["images"].dtype) == ((9, 1, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["two", "0"], "has saved no generator"),
        (["two", "5"], "two has no trial 5; the last one is 1"),
        (["two", "1", "--class", "1"], "not trained on labels"),
        (["two", "1", "--truncation", "0"], "expected a number above 0"),
        (["two", "1", "-o", "a.jpg"], "ends in .png or .npz"),
        (["two", "1", "-o", "nowhere/a.png"], "there is not a folder nowhere"),
        (["two", "1", "-n", "5000"], "-o FILE.npz"),
        (["two", "--server", "http://127.0.0.1:9"], "on its machine"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(
    arguments: list[str],
    told: str,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    place = [] if "--server" in arguments else ["--home", str(home)]
    assert run(["sample", *arguments, *place]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert told in said
    assert not list(home.glob("*.png"))


def test_nothing_is_drawn_where_the_data_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kept(tmp_path)
    before = {**saved_header(folder), "data": "of before"}
    monkeypatch.setattr("trials.evaluation.kept.saved_header", lambda _: before)
    with pytest.raises(CheckpointError, match="the data are others"):
        draw_samples(folder, 5)
