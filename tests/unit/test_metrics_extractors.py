"""Extractors: the shipped weights keep what is claimed of them, and wrong input is told so."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trials.config import problems_of
from trials.errors import ExtractorError
from trials.metrics.config import EvaluationConfig
from trials.metrics.extractor import (
    Content,
    Extractor,
    build_extractor,
    check_extractor,
    decided,
    quantise,
    read_weights,
)
from trials.metrics.extractors.digits import WEIGHTS, DigitsExtractor, digits_facts
from trials.metrics.extractors.torchscript import TorchScriptExtractor
from trials.validation import problems_from


@pytest.fixture(scope="module")
def training_script() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "train_digits_extractor.py"
    spec = importlib.util.spec_from_file_location("train_digits_extractor", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_digits_weights_have_the_stated_accuracy_and_floor(
    training_script: ModuleType,
) -> None:
    stated = digits_facts()
    found = training_script.facts(DigitsExtractor())
    assert WEIGHTS.stat().st_size < 1_000_000
    assert found["sha256"] == stated["sha256"]
    assert found["test_accuracy"] == stated["test_accuracy"] >= 0.97
    assert found["floor"] == pytest.approx(stated["floor"], abs=0.002)
    assert found["uniform_noise"] == pytest.approx(stated["uniform_noise"], rel=0.01)
    assert found["uniform_noise"] > 100 * found["floor"]


def test_real_bytes_survive_the_round_trip_through_floats() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(quantise(levels.float() / 127.5 - 1), levels)
    wild = torch.tensor([-5.0, 5.0, float("nan"), float("inf"), -float("inf")])
    assert quantise(wild).tolist() == [0, 255, 0, 255, 0]


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 32, 32), (3, 8, 8), (3, 64, 64)])
def test_enlarged_or_coloured_digits_have_the_features_of_the_small_grey_ones(
    shape: tuple[int, int, int],
) -> None:
    extractor = DigitsExtractor()
    small = torch.randint(
        0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    factor = shape[1] // 8
    large = small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    large = large.expand(-1, shape[0], -1, -1)
    torch.testing.assert_close(extractor(large).features, extractor(small).features)


@pytest.mark.parametrize(
    "shape", [(2, 1, 12, 12), (2, 1, 8, 16), (2, 2, 8, 8), (2, 64), (2, 1, 4, 4)]
)
def test_images_the_digits_extractor_cannot_take_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExtractorError, match=r"the digits extractor takes"):
        DigitsExtractor()(torch.zeros(shape))


def test_layers_are_differentiable_and_not_quantised() -> None:
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    layers = DigitsExtractor().layers(images)
    assert [tuple(layer.shape[1:]) for layer in layers] == [(32, 8, 8), (64, 8, 8), (64, 4, 4)]
    layers[-1].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_foreign_digits_weights_name_what_differs(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    state["head.weight"] = torch.zeros(3, 64)
    state["extra"] = state.pop("head.bias")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ExtractorError, match=r"missing: head.bias; unknown: extra; shapes: head.w"):
        DigitsExtractor(tmp_path / "w.safetensors")
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(ExtractorError, match="not a safetensors file"):
        DigitsExtractor(tmp_path / "junk")


def test_weights_replaced_while_they_are_read_are_loaded_as_they_were_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "w.safetensors"
    state = load_file(WEIGHTS)
    save_file(state, file)
    hashed = hashlib.sha256(file.read_bytes()).hexdigest()

    def replaced(path: Path) -> Content:
        content = read_weights(path)
        save_file({name: torch.zeros_like(value) for name, value in state.items()}, path)
        return content

    monkeypatch.setattr("trials.metrics.extractors.digits.read_weights", replaced)
    extractor = DigitsExtractor(file)
    assert extractor.fingerprint == hashed
    assert torch.equal(extractor.network.head.weight, state["head.weight"])


class ByChannel(nn.Module):
    """Takes bytes with three channels and returns features and logits."""

    def forward(self, x: Tensor, return_features: bool = False) -> tuple[Tensor, Tensor]:
        assert x.dtype == torch.uint8
        assert return_features
        means = x.float().mean(dim=(2, 3))
        return means, means[:, :2]


def scripted(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():  # torch deprecates writing TorchScript; its files remain
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), str(path))
    return path


def test_a_torchscript_module_is_given_rgb_bytes(tmp_path: Path) -> None:
    path = scripted(ByChannel(), tmp_path / "m.pt")
    extractor = TorchScriptExtractor(path, (1, 4, 4))
    found = extractor(torch.full((5, 1, 4, 4), 1.0))
    assert (extractor.dim, extractor.classes) == (3, 2)
    assert found.features.tolist() == [[255.0] * 3] * 5
    with pytest.raises(ExtractorError, match="no layers"):
        extractor.layers(torch.zeros(1, 1, 4, 4))


def test_files_and_modules_that_do_not_give_features_are_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(ExtractorError, match="not a TorchScript module"):
        TorchScriptExtractor(tmp_path / "junk.pt", (3, 4, 4))
    path = scripted(nn.Identity(), tmp_path / "identity.pt")
    with pytest.raises(ExtractorError, match=r"must return features \(n, d\)"):
        TorchScriptExtractor(path, (3, 4, 4))


def data(name: str, kind: str, shape: tuple[int, ...]) -> SimpleNamespace:
    return SimpleNamespace(name=name, kind=kind, shape=shape)


def chosen(extractor: Any) -> Extractor.Config:
    config: Extractor.Config = EvaluationConfig.model_validate({"extractor": extractor}).extractor
    return config


def test_auto_takes_digits_for_digits_and_coordinates_for_points() -> None:
    auto = chosen("auto")
    assert build_extractor(auto, data("digits", "image", (1, 8, 8))).key == "digits"
    assert build_extractor(auto, data("ring", "point", (2,))).dim == 2
    assert decided(auto, "cifar10", "image").name == "inception"
    pixels = build_extractor(chosen("identity"), data("npz", "image", (3, 8, 8)))
    assert pixels(torch.ones(2, 3, 8, 8)).features.tolist() == [[1.0] * 192] * 2
    with pytest.raises(ExtractorError, match="takes up to 4096"):
        build_extractor(chosen("identity"), data("npz", "image", (3, 64, 64)))
    with pytest.raises(ExtractorError, match="looks at images"):
        build_extractor(chosen("digits"), data("ring", "point", (2,)))


@pytest.mark.parametrize(
    ("config", "source", "told"),
    [
        ({"name": "inception"}, "ring", "looks at images"),
        ({"weights": "w"}, "ring", "has no weights"),
        ({"weights": "nowhere"}, "digits", "no file nowhere"),
        ({"name": "digits", "weights": "nowhere"}, "npz", "no file nowhere"),
        ({"name": "digits", "weights": __file__}, "npz", "not a safetensors file"),
    ],
)
def test_validation_sees_a_wrong_extractor_before_anything_starts(
    config: dict[str, str], source: str, told: str
) -> None:
    kind = "point" if source == "ring" else "image"
    [problem] = check_extractor(chosen(config), source, kind)
    assert told in problem.message
    assert problem.path.startswith("evaluation.extractor.")


def test_validation_sees_images_that_the_identity_would_make_too_many_numbers_of() -> None:
    large = {"data": {"name": "digits", "size": 128}, "evaluation": {"extractor": "identity"}}
    [problem] = problems_of(large)
    assert problem.path == "evaluation.extractor"
    assert "16384 features" in problem.message


@pytest.mark.parametrize(
    ("extractor", "path", "told"),
    [
        ("torchscript", "weights", "is missing"),
        ({"name": "identity", "weights": "w"}, "weights", "no such setting|not of identity"),
        ({"name": "digit"}, "name", "there is no extractor 'digit'"),
        ({"name": "digits", "weights": "~no-such-user/a"}, "weights", "no such user"),
    ],
)
def test_a_wrong_choice_is_told_where_it_stands(extractor: Any, path: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        chosen(extractor)
    [problem] = problems_from(caught.value, EvaluationConfig)
    assert problem.path == f"extractor.{path}"
    assert re.search(told, problem.message)


@pytest.mark.parametrize("name", ["auto", "digits", "identity", "inception"])
def test_weights_that_version_0_1_wrote_as_null_are_not_given(name: str) -> None:
    assert chosen({"name": name, "weights": None}) == chosen(name)


def test_weights_may_lie_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.safetensors").write_bytes(WEIGHTS.read_bytes())
    for name in ("digits", "auto"):
        config = chosen({"name": name, "weights": "~/mine.safetensors"})
        assert check_extractor(config, "digits", "image") == []
