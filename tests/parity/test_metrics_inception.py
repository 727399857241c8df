"""The inception extractor against torch-fidelity's own class, on random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from trials.errors import ExtractorError
from trials.metrics.extractor import check_extractor, quantise
from trials.metrics.extractors import inception
from trials.metrics.extractors.auto import AutoExtractor
from trials.metrics.extractors.inception import InceptionExtractor, inception_module

pytestmark = pytest.mark.skipif(not inception.installed(), reason="torch-fidelity is missing")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dictionary of the right names and shapes, random but for the normalisation."""
    module = inception_module()
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
    patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
    torch.manual_seed(0)
    network = module.FeatureExtractorInceptionV3("random", ["2048"])
    patch.undo()
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def test_features_and_logits_equal_torch_fidelity_bit_for_bit(weights: Path) -> None:
    extractor = InceptionExtractor(weights)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = inception_module().FeatureExtractorInceptionV3(
        "reference", ["2048", "logits_unbiased"], str(weights)
    )
    features, logits = theirs(quantise(images))
    found = extractor(images)
    assert found.logits is not None
    assert torch.equal(found.features, features)
    assert torch.equal(found.logits, logits)
    assert found.features.shape == (2, extractor.dim)
    assert found.logits.shape == (2, extractor.classes)

    images.requires_grad_()
    layers = extractor.layers(images)
    torch.testing.assert_close(layers[-1].mean(dim=(2, 3)), features, rtol=0, atol=0.05)
    layers[0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_a_grey_image_is_its_three_channel_copy(weights: Path) -> None:
    extractor = InceptionExtractor(weights)
    grey = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert torch.equal(extractor(grey).features, extractor(grey.expand(1, 3, 16, 16)).features)


def test_importing_the_network_leaves_no_half_imported_package_behind() -> None:
    before = set(sys.modules)
    inception_module()
    assert set(sys.modules) == before


class Malicious:
    """What a pickle may do when it is read: here, fail the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a weights file was executed",))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"fc.weight": torch.zeros(2, 2)}, "does not hold the weights"),
        ([torch.zeros(2)], "does not hold a state dictionary"),
        (Malicious(), "not a plain state dictionary"),
        (None, "not a plain state dictionary"),
    ],
    ids=["other network", "no dictionary", "code", "no torch file"],
)
def test_wrong_weights_are_refused_and_never_run(
    content: object, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.pth"
    if content is None:
        path.write_bytes(b"not a checkpoint")
    else:
        torch.save(content, path)
    with pytest.raises(ExtractorError, match=told):
        InceptionExtractor(path)
    problems = check_extractor(InceptionExtractor.Config(weights=path), "cifar10", "image")
    assert [problem.path for problem in problems] == ["evaluation.extractor.weights"]


def test_a_missing_extra_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExtractorError, match=r"pip install gan-sweeper\[inception\]"):
        inception_module()
    problems = check_extractor(AutoExtractor.Config(), "cifar10", "image")
    assert "gan-sweeper[inception]" in problems[0].message
