"""Do other feature networks put generators in the order in which the digits classifier does?

    python benchmarks/extractors.py [FOLDER] [--samples 1797]

Six GANs are trained on UCI digits, good ones and bad ones, and each is drawn from at four lengths
of its training: 24 generators whose FID by the shipped classifier spans two orders of magnitude.
For every other extractor the same samples are measured again. Spearman's rank correlation with the
classifier's order says how well it can stand in for it; of the better half alone, whether that
holds where it is hard. FOLDER keeps the samples, so that a second run only measures. About five
minutes on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from trials.config import load_config
from trials.data import open_data
from trials.data.dataset import Dataset
from trials.data.sources.digits import Digits
from trials.metrics.extractor import Extractor, quantise
from trials.metrics.extractor_training import EPOCHS, distances_of_halves, train_extractor
from trials.metrics.extractors.digits import DigitsExtractor
from trials.metrics.extractors.identity import IdentityExtractor
from trials.metrics.extractors.random import RandomExtractor
from trials.metrics.extractors.trained import TrainedExtractor
from trials.metrics.frechet import Moments, Reference
from trials.presets import merge
from trials.state.streams import stream
from trials.trainer import Training

LENGTHS = (50, 150, 400, 1000)
SHARED: dict[str, Any] = {
    "data": "digits",
    "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "steps": LENGTHS[-1],
    "evaluation": {"metrics": ["fid"]},
    "device": "cpu",
}
GANS: dict[str, dict[str, Any]] = {
    "plain": {"loss": "non_saturating"},
    "too fast": {
        "loss": "non_saturating",
        "optimizer": {"generator": {"lr": 3.0e-3}, "discriminator": {"lr": 3.0e-3}},
    },
    "least squares": {"loss": "lsgan"},
    "wgan-gp": {"loss": "wgan", "tricks": {"gradient_penalty": True}},
    "hinge": {"loss": "hinge", "tricks": {"spectral_norm": True, "ema": True}},
    "labels": {
        "loss": "hinge",
        "conditioning": "projection",
        "tricks": {"spectral_norm": True, "ema": True},
    },
}


def samples_of(name: str, count: int, folder: Path) -> dict[int, Tensor]:
    """Bytes (count, 1, 8, 8) that a GAN makes after each of the lengths."""
    file = folder / f"{name.replace(' ', '_')}-{count}.npz"
    if not file.exists():
        training = Training(load_config(merge(SHARED, GANS[name])), folder / "training" / name)
        drawn = {}
        for length in LENGTHS:
            training.run_to(length)
            noise = stream("cpu", 0, "extractors", length)
            with training.game.as_sampled(training.game.sampling_network()) as network:
                images = training.game.drawer(network, noise)(count, None)
            drawn[str(length)] = quantise(images).numpy()
        np.savez(file, **drawn)  # type: ignore[arg-type]
    with np.load(file) as arrays:
        return {length: torch.from_numpy(arrays[str(length)]) for length in LENGTHS}


def extractors(data: Dataset, folder: Path) -> dict[str, Extractor]:
    """Those that are compared, the classifier first."""
    weights = folder / "trained.safetensors"
    train_extractor(data, weights, seed=1, epochs=EPOCHS)
    return {
        "digits": DigitsExtractor(),
        "trained": TrainedExtractor(weights),
        "random": RandomExtractor(data.shape),
        "identity": IdentityExtractor(data.shape),
    }


def distances(extractor: Extractor, real: Tensor, generators: Sequence[Tensor]) -> list[float]:
    """FID of every generator's samples in these features."""
    reference = Reference.of(Moments.of(extractor(real).features))
    return [reference.distance(Moments.of(extractor(made).features)) for made in generators]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--samples", type=int, default=1797)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = open_data(Digits.Config())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        made = [
            images
            for name in GANS
            for images in samples_of(name, arguments.samples, folder).values()
        ]
        compared = extractors(data, folder)
    order = np.array(distances(compared["digits"], data.images, made))
    better = order <= np.median(order)
    print(f"{len(made)} generators, FID {order.min():.1f} to {order.max():.1f} by digits")
    print("| `evaluation.extractor` | features | all | better half | floor / best |")
    print("|---|---|---|---|---|")
    for name, extractor in compared.items():
        found = np.array(distances(extractor, data.images, made))
        floor = np.mean(distances_of_halves(extractor(data.images).features))
        cells = (
            extractor.dim,
            f"{spearmanr(order, found)[0]:.2f}",
            f"{spearmanr(order[better], found[better])[0]:.2f}",
            f"{floor / found.min():.2f}",
        )
        print(f"| `{name}` | " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
