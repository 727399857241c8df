"""Any feature network saved as TorchScript, from a path.

**A TorchScript file is a program**: loading and calling it runs what its author wrote. It is the
one place where this project runs code from a file, it happens only for a path that the user
writes into ``extractor.weights``, and only files from a trusted source belong there.

The module is called with what published Inception files expect: uint8 images (n, 3, H, W), a
grey channel repeated, or float32 points (n, D). It returns features (n, d), or a pair of features
and logits. Where its ``forward`` has an argument ``return_features`` (NVIDIA's files), that is
set. Resizing is the module's own business.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trials.errors import ExtractorError
from trials.metrics.extractors.base import Features, as_rgb, fingerprint_file, quantise


def _load(weights: Path, device: torch.device) -> Any:
    load: Any = torch.jit.load  # untyped in torch
    with warnings.catch_warnings():
        # torch advises its users to write torch.export files; published networks are TorchScript.
        warnings.filterwarnings("ignore", "`torch.jit.load` is", DeprecationWarning)
        return load(str(weights), map_location=device).eval()


class TorchScriptExtractor:
    """A ScriptModule; ``shape`` is one sample's, used once to learn the number of features."""

    name = "torchscript"
    resize = "inside the module"

    def __init__(
        self, weights: Path, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> None:
        self.fingerprint = fingerprint_file(weights)
        self.device = torch.device(device or "cpu")
        try:
            self.module = _load(weights, self.device)
            arguments = [argument.name for argument in self.module.forward.schema.arguments]
        except (RuntimeError, ValueError, AttributeError) as error:
            raise ExtractorError(f"{weights} is not a TorchScript module: {error}") from error
        self.options = {"return_features": True} if "return_features" in arguments else {}
        features, logits = self(torch.zeros(2, *shape))
        self.dim = features.shape[1]
        self.classes = 0 if logits is None else logits.shape[1]

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

    def layers(self, images: Tensor) -> list[Tensor]:
        raise ExtractorError(
            "a TorchScript extractor has no layers to compare; perceptual and style losses need"
            " the digits or the inception extractor"
        )
