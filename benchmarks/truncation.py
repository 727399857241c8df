"""The truncation trick's trade (arXiv:1809.11096, figure 2): fidelity against variety.

    python benchmarks/truncation.py [FOLDER] [--thresholds 0.3,0.5,0.7,1,1.5,2] [--figure curve.png]

FOLDER is a finished trial's, whose generator starts from normal z; without one, a GAN with spectral
norm and averaged weights is trained on UCI digits first, in a minute or two. For every threshold
the same generator is sampled from z without what lies beyond, and measured: in the paper precision
rises and variety falls with the threshold, and the FID is least somewhere between.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trials.config import TrialConfig, load_config
from trials.data import open_data
from trials.evaluation.export import TrainedGenerator, load_generator
from trials.metrics.evaluator import Evaluator
from trials.trainer import train
from trials.tricks.truncation import truncated

METRICS = ("fid", "precision", "recall", "density", "coverage")
DIGITS: dict[str, Any] = {
    "data": "digits",
    "networks": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "loss": "hinge",
    "tricks": {"spectral_norm": True, "ema": True},
    "steps": 2000,
    "evaluation": {"every": 1000, "metrics": ["fid"]},
    "device": "cpu",
}


def measured(
    config: TrialConfig, generator: TrainedGenerator, threshold: float, samples: int
) -> dict[str, float]:
    """The metrics of samples whose z has no number beyond the threshold."""
    rules = config.evaluation.model_copy(update={"metrics": METRICS, "samples": samples})
    evaluator = Evaluator(rules, open_data(config.data))
    noise = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def sample(count: int, labels: Tensor | None) -> Tensor:
        z = torch.randn(count, generator.latent, generator=noise)
        if math.isfinite(threshold):
            z = truncated(z, threshold, "resample")
        images: Tensor = generator(z, labels if generator.classes else None)
        return images

    return evaluator.measure(sample, weights="averaged", seed=0).values


def curve(folder: Path, thresholds: list[float], samples: int) -> list[dict[str, float]]:
    """One row a threshold, the last without any."""
    config = load_config(json.loads((folder / "config.json").read_text("utf-8")))
    if config.latent.distribution != "normal":
        raise SystemExit("truncation cuts the tails of normal z, and this generator's is uniform")
    generator = load_generator(folder)
    return [
        {"threshold": threshold, **measured(config, generator, threshold, samples)}
        for threshold in (*sorted(thresholds), math.inf)
    ]


def draw(rows: list[dict[str, float]], file: Path) -> None:
    """Precision and recall above, FID below, over the threshold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(5, 5))
    places = range(len(rows))
    for name in ("precision", "recall"):
        above.plot(places, [row[name] for row in rows], marker="o", label=name)
    above.legend()
    below.plot(places, [row["fid"] for row in rows], marker="o", color="black")
    below.set_ylabel("FID")
    below.set_xlabel("largest |z|")
    below.set_xticks(list(places), [f"{row['threshold']:g}" for row in rows])
    figure.tight_layout()
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--thresholds", default="0.3,0.5,0.7,1,1.5,2")
    parser.add_argument("--samples", type=int, default=1797)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    thresholds = [float(value) for value in arguments.thresholds.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder
        if folder is None:
            folder = Path(scratch)
            train(load_config(DIGITS), folder=folder)
        rows = curve(folder, thresholds, arguments.samples)
    print("| largest z | " + " | ".join(METRICS) + " |")
    print("|---|" + "---|" * len(METRICS))
    for row in rows:
        values = (f"{row[name]:.1f}" if name == "fid" else f"{row[name]:.3f}" for name in METRICS)
        print(f"| {row['threshold']:g} | " + " | ".join(values) + " |")
    if arguments.figure is not None:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
