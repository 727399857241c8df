"""Training a feature network on labelled images, and what there is to say of it afterwards.

A third of the images is kept out, class by class, for the test accuracy. The *floor* is the Fréchet
distance between two random halves of the real images, over 20 seeded splits: what a perfect
generator would score at that count, because two samples of one distribution never have equal
moments. Nothing is augmented: a network that does not mind shifts or turned images is blind to the
defects that its features should see.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from trials.data.dataset import Dataset, to_unit
from trials.errors import DataError
from trials.metrics.extractors.digits import DigitsNetwork
from trials.metrics.extractors.trained import TrainedFacts, write_weights
from trials.metrics.feature_network import FeatureNetwork
from trials.metrics.frechet import Moments, Reference

BATCH, RATE, DECAY, DROPOUT = 64, 3e-3, 1e-2, 0.3
TEST_SHARE = 1 / 3
HALVES = 20

EPOCHS = 40
MOST_STEPS, FEWEST_EPOCHS = 6000, 5
"""Of many images fewer epochs are enough."""

FEWEST = 200
"""Images below which neither training nor floor mean anything."""

FEWEST_OF_A_CLASS = 3
MEASURED = 10_000
"""Images at most of which the floor is taken."""

KNOWN = 1000
"""Images whose features are kept, so that data far from these are noticed."""

BATCHED = 256
"""Images that are looked at together."""

EpochDone = Callable[[], object]
"""Is called after each epoch."""


def check_trainable(data: Dataset) -> None:
    """Refuse what no feature network can be trained on.

    Raises:
        DataError: these are no images, or too few, without labels, or all of one class.
    """
    if data.kind != "image":
        raise DataError(f"{data.name}: a feature network looks at images, and these are points")
    if data.labels is None:
        raise DataError(
            f"{data.name}: these images have no labels, from which alone a network learns what to"
            " look at; `extractor: {name: random}` needs none"
        )
    counts = torch.bincount(data.labels, minlength=data.classes)
    present = counts[counts > 0]
    if len(present) < 2:
        raise DataError(
            f"{data.name}: all images are of one class: there is nothing to tell apart;"
            " `extractor: {name: random}` needs no classes"
        )
    if len(data) < FEWEST:
        raise DataError(f"{data.name}: {len(data)} images are too few: {FEWEST} are needed")
    few = [
        name
        for name, count in zip(data.class_names, counts.tolist(), strict=True)
        if 0 < count < FEWEST_OF_A_CLASS
    ]
    if few:
        names = ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "")
        raise DataError(
            f"{data.name}: a class needs {FEWEST_OF_A_CLASS} images or more to be learnt and"
            f" tested; fewer have: {names}"
        )


def usual_epochs(images: int) -> int:
    """Epochs for so many images, of which a third is kept out: 40, of many fewer."""
    steps = round(images * (1 - TEST_SHARE)) // BATCH
    return max(FEWEST_EPOCHS, min(EPOCHS, MOST_STEPS // max(1, steps)))


def split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices for training and test, a third of every class for the latter."""
    chance = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in sorted(set(labels.tolist())):
        own = (labels == label).nonzero()[:, 0]
        own = own[torch.randperm(len(own), generator=chance)]
        kept = max(1, round(TEST_SHARE * len(own)))
        test.append(own[:kept])
        train.append(own[kept:])
    return torch.cat(train).sort().values, torch.cat(test).sort().values


def fit(
    network: FeatureNetwork | DigitsNetwork,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    device: torch.device | str = "cpu",
    tell: EpochDone | None = None,
) -> None:
    """Train a classifier of bytes (n, C, H, W) by cross-entropy, with dropout on its features.

    What is drawn at random comes from torch's own stream, which the caller has seeded.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            features, _ = network(to_unit(images[chosen].to(device)))
            logits = network.head(F.dropout(features, DROPOUT))
            loss = F.cross_entropy(logits, labels[chosen].to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        if tell is not None:
            tell()
    network.eval()


def train_extractor(
    data: Dataset,
    file: Path,
    *,
    seed: int = 0,
    epochs: int,
    device: torch.device | str = "cpu",
    tell: EpochDone | None = None,
) -> TrainedFacts:
    """Train a network on these images and write it to `file`, whole or not at all.

    The same data, seed, torch and kind of processor give the same bytes.

    Raises:
        DataError: nothing can be learnt from these data.
    """
    check_trainable(data)
    assert data.labels is not None
    chosen, test = split(data.labels, seed)
    channels, side, _ = data.shape
    deterministic = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    drawn_on = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=drawn_on), deterministic:
        torch.manual_seed(seed)
        network = FeatureNetwork(side, channels, data.classes).to(device)
        fit(
            network,
            data.images[chosen],
            data.labels[chosen],
            epochs=epochs,
            device=device,
            tell=tell,
        )
    _, logits = _seen(network, data.images[test], device)
    right = logits.argmax(dim=1) == data.labels[test]
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:MEASURED]
    features, _ = _seen(network, data.images[order], device)
    noise, _ = _seen(network, _noise(len(features), data.shape), device)
    floor = distances_of_halves(features)
    real = Reference.of(Moments.of(features))
    facts = TrainedFacts(
        side=side,
        channels=channels,
        class_names=data.class_names,
        data=data.name,
        data_hash=data.fingerprint,
        images=len(data),
        test_images=len(test),
        test_accuracy=round(float(right.double().mean()), 4),
        largest_class=round(int(torch.bincount(data.labels).max()) / len(data), 4),
        floor=round(statistics.fmean(floor), 4),
        floor_deviation=round(statistics.stdev(floor), 4),
        uniform_noise=round(real.distance(Moments.of(noise)), 2),
        seed=seed,
    )
    write_weights(file, network, facts, features[:KNOWN])
    return facts


def distances_of_halves(features: Tensor, splits: int = HALVES, seed: int = 0) -> list[float]:
    """Fréchet distances between the two halves of `splits` random divisions."""
    generator = torch.Generator().manual_seed(seed)
    half = len(features) // 2
    distances = []
    for _ in range(splits):
        order = torch.randperm(len(features), generator=generator)
        first, second = features[order[:half]], features[order[half : 2 * half]]
        distances.append(Reference.of(Moments.of(first)).distance(Moments.of(second)))
    return distances


@torch.no_grad()
def _seen(
    network: FeatureNetwork, images: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Features (n, 64) and logits (n, classes) of bytes (n, C, H, W), on the CPU."""
    batches = (images[start : start + BATCHED] for start in range(0, len(images), BATCHED))
    parts = [network(to_unit(batch.to(device))) for batch in batches]
    features, logits = zip(*parts, strict=True)
    return torch.cat(features).cpu(), torch.cat(logits).cpu()


def _noise(count: int, shape: tuple[int, ...]) -> Tensor:
    """Bytes (count, C, H, W), uniform."""
    chance = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=chance)
