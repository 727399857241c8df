"""PSNR and SSIM agree with torchmetrics."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from trials.metrics.extractors.inception import bare_package, installed
from trials.metrics.pairs import psnr, ssim


def _torchmetrics() -> ModuleType:
    """torchmetrics' functions on images, without torch-fidelity pulling in torchvision."""
    if not installed():
        pytest.skip("torch-fidelity is not installed")
    with bare_package():
        module: ModuleType = pytest.importorskip("torchmetrics.functional.image")
    return module


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def pairs(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    shape = (5, request.param, 32, 32)
    truth = torch.rand(shape, generator=stream, dtype=torch.float64) * 2 - 1
    noise = torch.randn(shape, generator=stream, dtype=torch.float64)
    return (truth + 0.3 * noise).clamp(-1, 1), truth


def test_psnr_agrees_with_torchmetrics(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    theirs = _torchmetrics().peak_signal_noise_ratio(
        *pairs, data_range=(-1.0, 1.0), reduction="none", dim=(1, 2, 3)
    )
    # torchmetrics takes the logarithm's base in float32.
    assert torch.allclose(psnr(*pairs), theirs, rtol=1e-6)


def test_ssim_agrees_with_torchmetrics(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    measure = _torchmetrics().structural_similarity_index_measure
    _, places = measure(*pairs, data_range=2.0, reduction="none", return_full_image=True)
    # torchmetrics pads by reflection; Wang et al. stay where the window fits.
    inside = places[..., 5:-5, 5:-5].flatten(1).mean(1)
    assert torch.allclose(ssim(*pairs), inside, rtol=1e-10)
