"""Any feature network saved as TorchScript, from a path.

**A TorchScript file is a program**: loading and calling it runs what its author wrote. It is the
one place where this project runs code from a file, it happens only for a path that the user
writes into `extractor.weights`, and only files from a trusted source belong there.

The module is called with what published Inception files expect: uint8 images (n, 3, H, W), a
grey channel repeated, or float32 points (n, D). It returns features (n, d), or a pair of features
and logits. Where its `forward` has an argument `return_features` (NVIDIA's files), that is
set. Resizing is the module's own business.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trials.errors import ExtractorError
from trials.metrics.extractor import (
    Extractor,
    Features,
    Weights,
    as_rgb,
    quantise,
    read_weights,
)
from trials.part import knob


def _load(data: bytes, device: torch.device) -> Any:
    load: Any = torch.jit.load  # untyped in torch
    with warnings.catch_warnings():
        # torch advises its users to write torch.export files; published networks are TorchScript.
        warnings.filterwarnings("ignore", "`torch.jit.load` is", DeprecationWarning)
        return load(io.BytesIO(data), map_location=device).eval()


class TorchScriptExtractor(Extractor):
    """A ScriptModule; `shape` is one sample's, used once to learn the number of features."""

    key = "torchscript"
    summary = "a feature network from a TorchScript file, which is a program: trust it"
    order = 30
    takes = frozenset({"image", "point"})
    classifies = True  # whether it does is known only when it runs
    has_layers = False
    resize = "inside the module"

    class Config(Extractor.Config):
        weights: Weights = knob(..., "a trusted TorchScript module")

    def __init__(
        self, weights: Path, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> None:
        data, self.fingerprint = read_weights(weights)
        self.device = torch.device(device or "cpu")
        try:
            self.module = _load(data, self.device)
            arguments = [argument.name for argument in self.module.forward.schema.arguments]
        except (RuntimeError, ValueError, AttributeError) as error:
            raise ExtractorError(f"{weights} is not a TorchScript module: {error}") from error
        self.options = {"return_features": True} if "return_features" in arguments else {}
        features, logits = self(torch.zeros(2, *shape))
        self.dim = features.shape[1]
        self.classes = 0 if logits is None else logits.shape[1]

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> TorchScriptExtractor:
        return cls(config.weights, shape, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        if images.ndim == 4:
            images = as_rgb(quantise(images))
        try:
            output = self.module(images.to(self.device), **self.options)
        except RuntimeError as error:
            raise ExtractorError(f"the TorchScript module failed: {error}") from error
        features, logits = output if isinstance(output, tuple) else (output, None)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
            raise ExtractorError(
                "the TorchScript module must return features (n, d), or a pair of features and"
                " logits"
            )
        return Features(features.float(), None if logits is None else logits.float())

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        path = folder / "features.pt"
        with warnings.catch_warnings():  # as above: torch advises against writing them
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.script(_Example()), str(path))
        return {"name": cls.key, "weights": str(path)}


class _Example(nn.Module):
    """Two pixels and the mean as features of images, or of points their coordinates."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1).float()
        return torch.cat([flat[:, :2], flat.mean(dim=1, keepdim=True)], dim=1)
