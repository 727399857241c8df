"""A trained generator outside the trainer: saved as safetensors, loaded as a plain module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from trials.checkpoint import write_atomically
from trials.config import load_config
from trials.errors import CheckpointError
from trials.networks.build import build

if TYPE_CHECKING:
    from trials.game import Game

FILE = "generator.safetensors"


def save_generator(folder: Path, network: nn.Module, game: Game, facts: Mapping[str, Any]) -> None:
    """Write the sampling network's weights beside what is needed to build it again."""
    header = {
        "config": game.config.as_dict(),
        "shape": list(game.dataset.shape),
        "classes": game.dataset.classes,
        "labelled": game.labelled,
        "weights": game.samples_from,
        **facts,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    metadata = {"generator": json.dumps(header)}
    write_atomically(folder / FILE, lambda path: save_file(tensors, path, metadata=metadata))


class TrainedGenerator(nn.Module):
    """z (N, latent), and labels (N,) where the GAN uses them → images in [−1, 1], or points.

    Labels that are not given are drawn uniformly.
    """

    def __init__(self, network: nn.Module, latent: int, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.latent = latent

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.classes and labels is None:
            labels = torch.randint(self.classes, (len(z),), device=z.device)
        images: Tensor = self.network(z, labels)
        return images


def load_generator(folder: Path) -> TrainedGenerator:
    """The best generator of the trial in ``folder``, in evaluation mode on the CPU.

    Raises:
        CheckpointError: the trial has saved none.
    """
    file = Path(folder) / FILE
    if not file.exists():
        raise CheckpointError(f"{file}: this trial has saved no generator")
    with safe_open(file, framework="pt") as reader:
        header = json.loads(reader.metadata()["generator"])
        tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
    config = load_config(header["config"])
    plan = config.plan(tuple(header["shape"]), header["classes"])
    generator, _ = build(plan)
    generator.load_state_dict(tensors)
    used = header["classes"] if header["labelled"] else 0
    return TrainedGenerator(generator, plan.generator.latent, used).eval()
