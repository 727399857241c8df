"""Every metric against the implementation that papers use, in float64 where it allows."""

from __future__ import annotations

import contextlib
import io
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from trials.metrics.classes import class_divergence, inception_score
from trials.metrics.extractors.inception import bare_package, installed
from trials.metrics.frechet import Moments, Reference, RunningMoments, frechet_distance
from trials.metrics.kernel import kernel_distance
from trials.metrics.memorisation import memorisation
from trials.metrics.mixture import count_modes
from trials.metrics.neighbours import cross_pairs, nearest_distances, self_pairs, squared_distances

DIM = 300  # more than one block of the covariance


def features(count: int, seed: int, dim: int = DIM, shift: float = 0.0) -> Tensor:
    """Correlated non-negative features, as a ReLU network gives them; float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    raw = torch.randn(count, dim, generator=generator, dtype=torch.float64) @ mixing / dim**0.5
    return (raw + shift).relu()


def torchmetrics_image(name: str) -> ModuleType:
    """A module of torchmetrics.image, imported without torch-fidelity pulling in torchvision."""
    if not installed():
        pytest.skip("torch-fidelity is not installed")
    with bare_package():
        module: ModuleType = pytest.importorskip(f"torchmetrics.image.{name}")
    return module


class Untouched(nn.Module):
    """Stands in torchmetrics' place for a network: features go in, features come out."""

    num_features = DIM

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_frechet_distance_agrees_with_scipy_sqrtm_and_torchmetrics_to_1e_6() -> None:
    metrics = torchmetrics_image("fid")
    real, fake = features(900, 0), features(700, 1, shift=0.3)
    ours = Reference.of(Moments.of(real)).distance(Moments.of(fake))

    a, b = Moments.of(real), Moments.of(fake)
    root = scipy.linalg.sqrtm(a.cov.numpy() @ b.cov.numpy())
    trace = np.trace((a.cov + b.cov).numpy() - 2 * root.real)
    by_scipy = float((a.mean - b.mean).square().sum() + trace)
    assert ours == pytest.approx(by_scipy, rel=1e-6)

    theirs = metrics.FrechetInceptionDistance(feature=Untouched()).set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-6)
    assert ours == pytest.approx(frechet_distance(b.mean, b.cov, a.mean, a.cov), rel=1e-9)


def test_moments_in_batches_are_the_moments_of_the_whole() -> None:
    whole = features(501, 2)
    running = RunningMoments()
    for batch in whole.split(100):  # the last batch is a single image
        running.update(batch)
    torch.testing.assert_close(running.moments().cov, Moments.of(whole).cov, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(running.moments().cov, whole.T.cov(), rtol=1e-12, atol=1e-14)
    with mock.patch("trials.metrics.frechet.AT_ONCE", 100):  # as of a set too large for one piece
        assert torch.equal(Moments.of(whole).cov, running.moments().cov)


@pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features:UserWarning")
def test_kernel_distance_agrees_with_torchmetrics_over_all_pairs() -> None:
    metrics = torchmetrics_image("kid")
    real, fake = features(300, 3), features(300, 4, shift=0.2)
    theirs = metrics.KernelInceptionDistance(feature=Untouched(), subsets=1, subset_size=300)
    theirs.set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    a, b = self_pairs(real), self_pairs(fake)
    ours = kernel_distance(a.kernel, b.kernel, cross_pairs(a, b).kernel)
    assert ours == pytest.approx(float(theirs.compute()[0]), rel=1e-9)


@pytest.mark.parametrize("tile", [1024, 37], ids=["one tile", "many tiles"])
def test_precision_recall_density_coverage_equal_prdc(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prdc = pytest.importorskip("prdc")
    monkeypatch.setattr("trials.metrics.neighbours.TILE", tile)
    real, fake = features(400, 5), features(300, 6, shift=0.1)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    ours = cross_pairs(self_pairs(real), self_pairs(fake))
    assert 0.1 < ours.recall < 0.95  # the comparison means something
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, abs=1e-12), name


@pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features:UserWarning")
def test_inception_score_agrees_with_torchmetrics() -> None:
    metrics = torchmetrics_image("inception")
    logits = 3 * torch.randn(500, 10, generator=torch.Generator().manual_seed(7)).double()
    theirs = metrics.InceptionScore(feature=Untouched(), splits=10).set_dtype(torch.float64)
    theirs.update(logits)
    torch.manual_seed(0)
    expected = float(theirs.compute()[0])
    torch.manual_seed(0)  # torchmetrics shuffles before it splits
    order = torch.randperm(len(logits))
    assert inception_score(logits[order]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("tile", [64, 1024])
def test_nearest_distances_equal_scikit_learn_and_a_copy_is_at_zero(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def within_a_tile(products: torch.Tensor, *norms: torch.Tensor) -> torch.Tensor:
        assert max(products.shape) <= tile
        return squared_distances(products, *norms)

    monkeypatch.setattr("trials.metrics.neighbours.TILE", tile)
    monkeypatch.setattr("trials.metrics.neighbours.squared_distances", within_a_tile)
    train, queries = features(500, 8, dim=300), features(200, 9, dim=300)
    queries[:5] = train[40:45]
    neighbours = NearestNeighbors(n_neighbors=1).fit(train.numpy())
    expected = neighbours.kneighbors(queries.numpy())[0][:, 0]
    np.testing.assert_allclose(
        nearest_distances(queries, train).numpy(), expected, rtol=1e-12, atol=1e-6
    )
    assert nearest_distances(queries.float(), train.float())[:5].eq(0).all()
    train[70] = torch.nan  # is in every distance, whichever tile it is in
    assert nearest_distances(queries, train).isnan().all()


def test_memorisation_is_the_mann_whitney_area() -> None:
    generator = torch.Generator().manual_seed(10)
    generated = torch.randint(0, 30, (200,), generator=generator).double()
    held_out = torch.randint(5, 40, (150,), generator=generator).double()
    statistic = scipy.stats.mannwhitneyu(held_out.numpy(), generated.numpy()).statistic
    assert memorisation(generated, held_out) == pytest.approx(statistic / (200 * 150), rel=1e-12)


def test_class_divergence_is_scipys_relative_entropy() -> None:
    real, fake = torch.tensor([10, 20, 30, 40]), torch.tensor([50, 0, 25, 25])
    expected = scipy.stats.entropy(fake.numpy() / 100, real.numpy() / 100)
    assert class_divergence(real, fake) == pytest.approx(expected, rel=1e-12)


def test_mode_counts_follow_the_pacgan_logger() -> None:
    """The loops of fjxmlzn/PacGAN's MetricLogger, written out."""
    generator = torch.Generator().manual_seed(11)
    angles = torch.arange(8) * (2 * torch.pi / 8)
    centres = torch.stack([angles.cos(), angles.sin()], dim=1)
    chosen = torch.randint(0, 5, (400,), generator=generator)
    samples = centres[chosen] + 0.016 * torch.randn(400, 2, generator=generator)
    counts = np.zeros(8)
    for point in samples.double().numpy():
        scaled = [np.sqrt((((point - c) / 0.01) ** 2).sum()) for c in centres.double().numpy()]
        if min(scaled) < 3:
            counts[int(np.argmin(scaled))] += 1
    found = count_modes(samples, centres, 0.01)
    assert found.modes == np.count_nonzero(counts) == 5
    assert found.high_quality == pytest.approx(counts.sum() / 400)
    expected = np.log(8) - scipy.stats.entropy(counts / counts.sum())
    assert found.reverse_kl == pytest.approx(expected, rel=1e-9)
