"""Pictures without Inception: a network that is a seed, and one trained on images of one's own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from sklearn.datasets import load_sample_images
from torch import Tensor

from sweeper.cli.main import run
from trials.config import problems_of
from trials.data import open_data
from trials.data.dataset import Dataset
from trials.data.sources.digits import Digits
from trials.errors import DataError, ExtractorError
from trials.metrics.extractor import check_extractor
from trials.metrics.extractor_training import EPOCHS, split, train_extractor, usual_epochs
from trials.metrics.extractors.random import RandomExtractor, kernels
from trials.metrics.extractors.trained import HEADER, TrainedExtractor, write_weights
from trials.metrics.familiarity import far_from_its_training
from trials.metrics.feature_network import FEATURES, FeatureNetwork
from trials.metrics.frechet import Moments, Reference

RANDOM = "1ce1f9e7d6a6a7289fa6f56683886bfabdfd8d74e1a7dacff06b06c028caafba"
FOUND = [0.495994, 0.001771, 0.146042, 0.005052, 0.151864, 0.185872, 0.146579]
"""Features of a ramp. Both made once, on x86-64."""


def photographs(side: int) -> Tensor:
    """Two photographs, (2, 3, side, side) in [−1, 1]."""
    pictures = np.stack(load_sample_images().images)[:, :427, :427]
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.nn.functional.interpolate(pixels, side, mode="area")


def of_sixteen_pixels(weights: Path) -> Path:
    """A file of weights like this one, of a network that looks at 16×16."""
    network = FeatureNetwork(16, 1, 10)
    facts = TrainedExtractor(weights).facts.model_copy(update={"side": 16})
    file = weights.with_name("sixteen.safetensors")
    write_weights(file, network, facts, torch.zeros(0, FEATURES))
    return file


def digits(count: int = 600, **changes: Any) -> Dataset:
    data = open_data(Digits.Config())
    assert data.labels is not None
    few = {"images": data.images[:count], "labels": data.labels[:count], **changes}
    return dataclasses.replace(data, **few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("trained") / "digits.safetensors"
    train_extractor(digits(), file, epochs=6)
    return file


# A network that is a seed ------------------------------------------------------------------------


def test_the_random_network_is_the_same_everywhere() -> None:
    assert RandomExtractor((3, 32, 32)).fingerprint == RANDOM
    assert RandomExtractor((1, 8, 8)).fingerprint == RANDOM
    first, *deeper = kernels()
    assert first.shape == (32, 3, 3, 3)
    for kernel in (first, *deeper):
        inputs = kernel[0].numel()
        assert kernel.sum(dim=(1, 2, 3)).abs().max() < 1e-4
        assert float(kernel.std()) == pytest.approx((4 / inputs) ** 0.5, rel=0.05)
    ramp = (torch.arange(64).reshape(1, 1, 8, 8) * 4).to(torch.uint8)
    seen = RandomExtractor((1, 8, 8))(ramp).features[0]
    assert (seen[:4] * 127.5).tolist() == pytest.approx([-73.5, -57.5, 54.5, 70.5], abs=1e-4)
    found = [*seen[12:16].tolist(), *seen[-3:].tolist()]
    assert found == pytest.approx(FOUND, abs=1e-5)


@pytest.mark.parametrize("side", [32, 64, 256])
def test_activations_of_photographs_neither_die_nor_explode(side: int) -> None:
    extractor = RandomExtractor((3, side, side))
    sizes = [float(x.square().mean().sqrt()) for x in extractor.layers(photographs(side))]
    assert len(sizes) == {32: 4, 64: 5, 256: 7}[side]
    assert all(0.2 < size < 2 for size in sizes), sizes


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (3, 100, 100), (3, 2, 2), (3, 9, 30)])
def test_the_random_network_takes_images_of_any_size(shape: tuple[int, int, int]) -> None:
    extractor = RandomExtractor(shape)
    assert extractor(torch.zeros(2, *shape)).features.shape == (2, extractor.dim)
    with pytest.raises(ExtractorError, match="2×2 pixels or more"):
        RandomExtractor((3, 1, 8))


def test_the_random_network_sees_light_colour_place_and_noise() -> None:
    real = digits().images.float() / 127.5 - 1
    real = real.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(-1, 3, -1, -1)
    extractor = RandomExtractor((3, 16, 16))
    reference = Reference.of(Moments.of(extractor(real[::2]).features))

    def distance(images: Tensor) -> float:
        return reference.distance(Moments.of(extractor(images).features))

    floor, other = distance(real[1::2]), real[1::2]
    noise = torch.randn(other.shape, generator=torch.Generator().manual_seed(0))
    tinted = other * torch.tensor([1.0, 0.7, 0.7])[:, None, None]
    for worse in (other * 0.7, tinted, other.roll(3, 3), other.flip(2), other[:20]):
        assert distance(worse) > 2 * floor
    little, much = distance(other + 0.1 * noise), distance(other + 0.5 * noise)
    assert floor < little < much


# A network of one's own --------------------------------------------------------------------------


def test_a_trained_network_knows_its_classes_and_is_known_by_its_content(
    weights: Path, tmp_path: Path
) -> None:
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    facts = train_extractor(digits(), again, epochs=6)
    assert again.read_bytes() == weights.read_bytes()
    train_extractor(digits(), other, epochs=1, seed=1)
    extractor = TrainedExtractor(weights)
    assert extractor.fingerprint == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert extractor.fingerprint != TrainedExtractor(other).fingerprint
    assert extractor.facts == facts
    assert (facts.images, facts.test_images) == (600, 200)
    assert facts.test_accuracy > 0.9 > facts.largest_class
    assert facts.uniform_noise > 20 * facts.floor > 0
    rest = open_data(Digits.Config())
    logits = extractor(rest.images[600:]).logits
    assert logits is not None
    assert rest.labels is not None
    assert float((logits.argmax(dim=1) == rest.labels[600:]).float().mean()) > 0.85


def test_a_trained_network_takes_multiples_of_its_size_and_any_colour(weights: Path) -> None:
    extractor = TrainedExtractor(weights)
    small = digits(5).images
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    torch.testing.assert_close(extractor(large).features, extractor(small).features)
    config = TrainedExtractor.Config(weights=weights)
    assert check_extractor(config, "npz", "image") == []
    with pytest.raises(ExtractorError, match="a multiple of 8 pixels, got 12×12"):
        TrainedExtractor.build(config, (3, 12, 12))


def test_images_far_from_those_that_it_was_trained_on_are_noticed(weights: Path) -> None:
    extractor, data = TrainedExtractor(weights), digits()
    noise = torch.randint(256, data.images.shape, dtype=torch.uint8)
    assert not far_from_its_training(extractor, data, extractor(data.images).features)
    other = dataclasses.replace(data, name="npz")
    assert far_from_its_training(extractor, other, extractor(noise).features)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": None}, "no labels"),
        ({"labels": torch.full((600,), 3)}, "all images are of one class"),
        ({"count": 150}, "150 images are too few: 200 are needed"),
        ({"labels": torch.arange(600).clamp(max=9)}, "a class needs 3 images or more.*: 0, 1, 2"),
        ({"images": torch.zeros(600, 2)}, "these are points"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        train_extractor(digits(**changes), tmp_path / "x", epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_leaves_no_file(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_extractor(digits(), tmp_path / "x", epochs=3, tell=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_third_of_every_class_is_kept_out_and_many_images_are_seen_less_often() -> None:
    labels = torch.tensor([0] * 30 + [4] * 9 + [2] * 3)
    train, test = split(labels, 0)
    assert sorted(torch.cat([train, test]).tolist()) == list(range(42))
    assert torch.bincount(labels[test]).tolist() == [10, 0, 1, 0, 3]
    assert not torch.equal(split(labels, 1)[1], test)
    assert [usual_epochs(n) for n in (200, 5000, 50_000, 10**6)] == [EPOCHS, EPOCHS, 11, 5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"junk", "not a safetensors file"),
        (save({"a": torch.zeros(1)}), "not of `sweeper extractor train`"),
        (save({"a": torch.zeros(1)}, {HEADER: "{}"}), "tells no network: side"),
        (save({"a": torch.zeros(1)}, {HEADER: "[" * 9999}), "tells no network"),
    ],
)
def test_a_file_of_something_else_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)
    config = TrainedExtractor.Config(weights=tmp_path / "w")
    (problem,) = check_extractor(config, "npz", "image")
    assert told in problem.message
    assert problem.path == "evaluation.extractor.weights"


def test_what_lies_with_the_weights_must_be_features(weights: Path, tmp_path: Path) -> None:
    tensors = {**load_file(weights), "trained_on": torch.zeros(70, 3)}
    header = {HEADER: TrainedExtractor(weights).facts.model_dump_json()}
    (tmp_path / "w").write_bytes(save(tensors, header))
    with pytest.raises(ExtractorError, match=r"'trained_on' is \(70, 3\)"):
        TrainedExtractor(tmp_path / "w")


def test_a_header_that_claims_a_huge_network_costs_nothing(weights: Path, tmp_path: Path) -> None:
    facts = {**TrainedExtractor(weights).facts.model_dump(), "side": 16384}
    (tmp_path / "w").write_bytes(save({"a": torch.zeros(1)}, {HEADER: json.dumps(facts)}))
    with pytest.raises(ExtractorError, match="not weights of a network of 1x16384x16384; missing"):
        TrainedExtractor(tmp_path / "w")


def test_validation_sees_images_that_are_too_small_for_the_network(weights: Path) -> None:
    extractor = {"name": "trained", "weights": str(of_sixteen_pixels(weights))}
    [problem] = problems_of({"data": "digits", "evaluation": {"extractor": extractor}})
    assert problem.path == "evaluation.extractor"
    assert "square images of a multiple of 16 pixels, got 8×8" in problem.message


# The verb ----------------------------------------------------------------------------------------


def test_the_verb_trains_on_the_data_of_a_sweep_file_that_already_names_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = digits()
    assert data.labels is not None
    np.savez("some.npz", images=data.images[:, 0].numpy(), labels=data.labels.numpy())
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nbase:\n  data: {name: npz, path: some.npz}\n"
        "  evaluation: {extractor: {name: trained, weights: mine.safetensors}}\n"
    )
    command = ["extractor", "train", "mine.yaml", "-o", "mine.safetensors", "--epochs", "4"]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "600 images of 10 classes, 8 × 8 pixels, grey" in told.err
    assert f"sha256    {TrainedExtractor(Path('mine.safetensors')).fingerprint}" in told.out
    assert "{extractor: {name: trained, weights: mine.safetensors}}" in told.out
    assert run(["extractor", "train", "some.npz", "-o", "other", "--set", "labels_key=null"]) == 2
    assert "`extractor: {name: random}` needs none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["digitz"], "did you mean 'digits'?"),
        (["digits", "--set", "size"], "expected KEY=VALUE"),
        (["digits", "--set", "size=9"], "data.size: 9 is not possible"),
        (["."], "data.size: is missing"),
        (["none.yaml"], "none.yaml: cannot be read"),
        (["digits", "-o", "nowhere/x"], "there is not a folder nowhere"),
    ],
)
def test_the_verb_says_what_is_wrong(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = [] if "-o" in arguments else ["-o", "x"]
    assert run(["extractor", "train", *arguments, *out]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
