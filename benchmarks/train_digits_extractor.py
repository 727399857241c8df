"""Make the shipped digits extractor: train it, measure it, write weights and facts.

    python benchmarks/train_digits_extractor.py

Writes `digits.safetensors` and `digits.json` into trials/metrics/extractors (or a folder
given as argument). One thread, fixed seeds, under a minute; the same torch build on the same
processor family gives the same bytes. A third of the 1,797 images is kept for the test accuracy.

The floor is the Fréchet distance between two random halves of the real images (898 each), over
20 seeded splits: what a perfect generator would score at that count, because two samples of one
distribution never have equal moments.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from trials.metrics.extractor_training import EPOCHS, HALVES, distances_of_halves, fit
from trials.metrics.extractors.digits import FACTS, WEIGHTS, DigitsExtractor, DigitsNetwork
from trials.metrics.frechet import Moments, Reference

TEST_SHARE, SPLIT_SEED = 1 / 3, 0


def digits() -> tuple[Tensor, Tensor]:
    """UCI digits as the product serves them: uint8 (1797, 1, 8, 8), and labels (1797,)."""
    bunch = load_digits()
    images = np.round(bunch.images * 255 / 16).astype(np.uint8)
    return torch.from_numpy(images)[:, None], torch.from_numpy(bunch.target)


def split(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices for training and test, stratified by class."""
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=SPLIT_SEED
    )
    return torch.from_numpy(train), torch.from_numpy(test)


def train(images: Tensor, labels: Tensor) -> DigitsNetwork:
    """The network, fitted as all of ours are."""
    torch.manual_seed(0)
    network = DigitsNetwork()
    fit(network, images, labels, epochs=EPOCHS)
    return network


def accuracy(extractor: DigitsExtractor, images: Tensor, labels: Tensor) -> float:
    logits = extractor(images).logits
    assert logits is not None
    return float((logits.argmax(dim=1) == labels).double().mean())


def facts(extractor: DigitsExtractor) -> dict[str, object]:
    """Everything that digits.json states, measured from the weights as they were written."""
    images, labels = digits()
    _, test = split(labels)
    features = extractor(images).features
    floor = distances_of_halves(features)
    noise = torch.rand(len(images), 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise_distance = Reference.of(Moments.of(features)).distance(
        Moments.of(extractor(noise).features)
    )
    return {
        "made_by": "python benchmarks/train_digits_extractor.py",
        "sha256": extractor.fingerprint,
        "data": "UCI digits, scikit-learn's load_digits, 1797 images 8x8",
        "test_images": len(test),
        "test_accuracy": round(accuracy(extractor, images[test], labels[test]), 4),
        "floor": round(float(np.mean(floor)), 3),
        "floor_deviation": round(float(np.std(floor, ddof=1)), 3),
        "floor_is": f"Frechet distance between two random halves (898 images each),"
        f" mean of {HALVES} seeded splits",
        "uniform_noise": round(noise_distance, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=WEIGHTS.parent)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    images, labels = digits()
    chosen, _ = split(labels)
    network = train(images[chosen], labels[chosen])
    weights = folder / WEIGHTS.name
    save_file(network.state_dict(), weights)
    stated = facts(DigitsExtractor(weights))
    (folder / FACTS.name).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(stated, indent=2))
    print(f"{weights}: {weights.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
