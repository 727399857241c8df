"""A trained generator outside the trainer: saved as safetensors, loaded as a plain module."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from trials.config import TrialConfig, load_config
from trials.engine.composed_game import ComposedGame
from trials.engine.hooks import Hooks
from trials.errors import CheckpointError
from trials.files import atomic_write, remove
from trials.networks.build import build
from trials.networks.mixture import Mixture
from trials.networks.plan import GeneratorPlan
from trials.part import using
from trials.state.names import GENERATOR


class PackedGenerator(NamedTuple):
    """The weights of a sampling network as they were, on the CPU, and what builds it again."""

    header: dict[str, Any]
    tensors: dict[str, Tensor]


def pack_generator(network: nn.Module, config: TrialConfig, game: ComposedGame) -> PackedGenerator:
    """The sampling network as it is now, whatever becomes of it."""
    header = {
        "config": config.as_dict(),
        "data": game.dataset.fingerprint,
        "shape": list(game.dataset.shape),
        "classes": game.dataset.classes,
        "labelled": game.labelled,
        "class_counts": _class_counts(game),
        "weights": game.samples_from,
        "members": len(network.members) if isinstance(network, Mixture) else 0,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    return PackedGenerator(header, tensors)


def _class_counts(game: ComposedGame) -> list[int]:
    """How many items of the data are of each class; empty where labels are not used."""
    labels = game.dataset.labels
    if not game.labelled or labels is None:
        return []
    counts: list[int] = torch.bincount(labels, minlength=game.dataset.classes).tolist()
    return counts


def save_generator(folder: Path, generator: PackedGenerator, facts: Mapping[str, Any]) -> None:
    """Write a generator, with what is known of it."""
    text = json.dumps({**generator.header, **facts})
    metadata = {"generator": text, "sha256": _checksum(text, generator.tensors)}
    # Not safetensors' own way to a file: that makes it 0600, and a home may be shared.
    atomic_write(folder / GENERATOR, save(generator.tensors, metadata))


def take_over_generator(donor: Path, folder: Path) -> None:
    """Make the generator that another training has kept one's own, or none where it has none."""
    kept, own = donor / GENERATOR, folder / GENERATOR
    if kept.exists():
        atomic_write(own, lambda path: shutil.copyfile(kept, path))
    else:
        remove(own)


class TrainedGenerator(nn.Module):
    """z (N, latent), and labels (N,) where the GAN uses them → images in [−1, 1], or points.

    z must be drawn as in training: from `latent.distribution`, with the codes of `infogan` behind
    it. `trials.evaluation.drawing.draw_samples` draws z, labels and images that way.

    `class_counts` has the number of training items of each class; labels that are not given are
    drawn in these proportions, as in training. `hooks` are the tricks that change how samples are
    drawn. A generator that works on an image needs it as `condition`, (N, …) of shape `condition`,
    made as its task makes it; for the others that shape is None.
    """

    class_counts: Tensor

    def __init__(
        self,
        network: nn.Module,
        latent: int,
        class_counts: Sequence[int],
        hooks: Hooks,
        condition: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = len(class_counts)
        self.latent = latent
        self.condition = condition
        self._hooks = hooks
        counts = torch.tensor(class_counts, dtype=torch.float32)
        self.register_buffer("class_counts", counts, persistent=False)

    def forward(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        """Images (N, C, H, W) or points (N, D).

        Raises:
            ValueError: the generator works on an image, and there is no `condition`.
        """
        if self.classes and labels is None:
            counts = self.class_counts.to(z.device)
            labels = torch.multinomial(counts, z.shape[0], replacement=True)
        if self.condition is not None and condition is None:
            raise ValueError(f"this generator works on an image: it needs (N, *{self.condition})")
        given = () if self.condition is None else (condition,)

        def sample(z: Tensor, labels: Tensor | None) -> Tensor:
            return self._hooks.finish(self.network(z, labels, *given), condition)

        return self._hooks.sampler(sample)(z, labels)


def load_generator(folder: Path) -> TrainedGenerator:
    """The best generator of the trial in `folder`, in evaluation mode on the CPU.

    Raises:
        CheckpointError: the trial has saved none, or it is damaged.
    """
    header, tensors = _read(folder)
    config = load_config(header["config"])
    plan = config.plan(tuple(header["shape"]), header["classes"])
    with using({"parts": config.parts}):
        generator, _ = build(plan)
    if header["members"]:
        generator = Mixture(copy.deepcopy(generator) for _ in range(header["members"]))
    generator.load_state_dict(tensors)
    used = header["classes"] if header["labelled"] else 0
    # Generators saved by former versions have no counts: their classes are drawn equally often.
    counts = header.get("class_counts", [1] * used)
    hooks, condition = Hooks(config.build_tricks()), _condition(plan.generator)
    return TrainedGenerator(generator, plan.generator.latent, counts, hooks, condition).eval()


def saved_header(folder: Path) -> dict[str, Any]:
    """What is written beside the best generator's weights: config, step, FID, kind of weights.

    Raises:
        CheckpointError: the trial has saved none, or it is damaged.
    """
    return _read(folder)[0]


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    file = Path(folder) / GENERATOR
    if not file.exists():
        raise CheckpointError(f"{file}: this trial has saved no generator")
    try:
        with safe_open(file, framework="pt") as reader:
            metadata = reader.metadata() or {}
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(file, str(error)) from error
    text = metadata.get("generator")
    if text is None:
        raise CheckpointError(f"{file}: not a generator that a trial saved")
    # One that was saved before checksums were noted in it is taken on trust.
    if metadata.get("sha256", checksum := _checksum(text, tensors)) != checksum:
        raise _damaged(file, "wrong checksum")
    header: dict[str, Any] = json.loads(text)
    return header, tensors


def _damaged(file: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{file}: the saved generator is damaged ({reason}); only training again in another folder"
        " brings it back"
    )


def _checksum(header: str, tensors: Mapping[str, Tensor]) -> str:
    """sha256 of what is saved of a generator: safetensors has no checksum of its own."""
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _condition(plan: GeneratorPlan) -> tuple[int, ...] | None:
    """The shape of one image that the generator works on, if it does."""
    if not plan.condition_channels:
        return None
    return (plan.condition_channels, *(side // plan.enlarge for side in plan.shape[1:]))
