"""Samples of a training's best generator, as its evaluations draw them, for whoever wants to look.

Truncation is that of Brock et al. 2018, arXiv:1809.11096: numbers of z beyond a threshold are drawn
again until they lie within.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from trials.config import TrialConfig
from trials.data.dataset import Dataset
from trials.errors import DrawingError
from trials.evaluation.kept import Kept, kept_generator
from trials.evaluation.pictures import image_grid, scatter
from trials.problems import nearest
from trials.state.streams import stream
from trials.tricks.truncation import Truncation, truncated

FEW = 10
"""Names of classes that one message tells."""


class Drawn(NamedTuple):
    """Images (N, C, H, W) in [−1, 1], or points (N, D), on the CPU; labels (N,) where the generator
    takes some; the step that the generator is of, and which of its weights were sampled."""

    items: Tensor
    labels: Tensor | None
    class_names: Sequence[str]
    step: int
    weights: str
    modes: Tensor | None = None

    def picture(self) -> Image.Image:
        """All of them in a grid, or a scatter of points."""
        if self.items.ndim == 2:
            return scatter(self.items, self.modes)
        return image_grid(self.items, round(len(self.items) ** 0.5))


def draw_samples(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    label: str | None = None,
    truncation: float | None = None,
    cache: Path | None = None,
) -> Drawn:
    """`count` samples of the best generator of the trial in `folder`; the same on the same kind of
    device for the same `seed`.

    `label` is the number or name of a class. With `truncation` no number of z lies beyond it.

    Raises:
        CheckpointError: the trial has saved none, or its data are others by now.
        DrawingError: this generator takes no such label, or has no tails to cut.
    """
    with kept_generator(folder, cache=cache, device="auto") as kept:
        chosen = None if label is None else _class(kept, label)
        if truncation is not None:
            _check_truncation(kept.config, truncation)
        noise = stream(kept.game.device, seed, "drawn")
        rows, labels = [], []
        for start in range(0, count, kept.config.evaluation.batch):
            size = min(kept.config.evaluation.batch, count - start)
            z, drawn = kept.game.noise(size, noise)
            if truncation is not None:
                z = truncated(z, truncation, "resample")
            if chosen is not None:
                drawn = torch.full((size,), chosen, device=kept.game.device)
            rows.append(kept.game.sampled(kept.network, z, drawn, noise).cpu())
            labels += [] if drawn is None else [drawn.cpu()]
        data = kept.game.dataset
        return Drawn(
            torch.cat(rows),
            torch.cat(labels) if labels else None,
            data.class_names,
            int(kept.header["step"]),
            str(kept.header["weights"]),
            data.modes,
        )


def _class(kept: Kept, label: str) -> int:
    """The class of that number or name."""
    data: Dataset = kept.game.dataset
    if not kept.game.labelled:
        raise DrawingError("this generator was not trained on labels: it has no class to draw")
    if label in data.class_names:
        return data.class_names.index(label)
    if label.isdecimal() and int(label) < data.classes:
        return int(label)
    numbers = f"there are 0 to {data.classes - 1}"
    if data.class_names == tuple(map(str, range(data.classes))):
        raise DrawingError(f"there is no class {label}: {numbers}")
    few = ", ".join(data.class_names[:FEW]) + (", …" if data.classes > FEW else "")
    close = nearest(label, data.class_names)
    hint = f"; did you mean '{close}'?" if close else ""
    raise DrawingError(f"there is no class {label}: {numbers} ({few}){hint}")


def _check_truncation(config: TrialConfig, threshold: float) -> None:
    """Refuse to cut tails of a z that has none, or that is cut already."""
    for problem in Truncation.check(Truncation.Config(), config):
        raise DrawingError(f"truncation {problem.message}")
    for other, reason in Truncation.conflicts.items():
        if any(part.key == other for part, _ in config.active()):
            raise DrawingError(f"truncation means nothing with {other}: {reason}")
    knobs = config.tricks.get(Truncation.key)
    if isinstance(knobs, Truncation.Config) and threshold >= knobs.threshold:
        raise DrawingError(
            f"samples of this training have |z| ≤ {knobs.threshold:g} already: a truncation of"
            f" {threshold:g} changes nothing"
        )
