"""TF-Inception 2015-12-05, the network of published FIDs, through torch-fidelity.

Paper: Szegedy et al. 2015, arXiv:1512.00567; weights converted from TensorFlow by
toshas/torch-fidelity. Features are the 2,048 of the last pooling, logits are the "unbiased" ones
(no bias added) that torch-fidelity and torchmetrics use for the inception score. Images are
uint8, a grey channel is repeated, and the network resizes them itself to 299×299 as TensorFlow 1
did (bilinear, not antialiased, corners not aligned); torchmetrics resizes with antialias by
default, so its numbers differ.

Two habits of torch-fidelity are worked around. Its package imports torchvision, which its
Inception module does not need, so the module is imported alone. Its constructor unpickles the
file it is given, so the file is first read with `weights_only=True` and only the checked
tensors are handed over.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any
from urllib.request import Request, urlopen

import torch
from torch import Tensor, nn

from trials.errors import ExtractorError, reason_of
from trials.metrics.extractor import (
    Extractor,
    Features,
    Weights,
    as_rgb,
    quantise,
    read_weights,
    require_images,
    require_state,
)
from trials.part import knob
from trials.problems import Problem

PACKAGE = "torch_fidelity"
MODULE = f"{PACKAGE}.feature_extractor_inceptionv3"
MISSING = (
    "the inception extractor needs torch-fidelity: pip install gan-sweeper[inception]; without it, "
    "evaluation.extractor: random or trained"
)
SHA256_STARTS_WITH = "6726825d"

WAY_OUT = (
    "the file, fetched elsewhere, as evaluation.extractor.weights; or an extractor that needs no "
    "download: random, or trained on images of your own by `sweeper extractor train`"
)
PATIENCE_SECONDS = 10.0

_importing = threading.Lock()


def installed() -> bool:
    """Whether torch-fidelity is there; imports nothing."""
    return importlib.util.find_spec(PACKAGE) is not None


@contextmanager
def bare_package() -> Iterator[None]:
    """Inside the block torch-fidelity's modules can be imported without its `__init__`.

    A bare package of the same name and path stands in `sys.modules`, and it and all that was
    imported through it leave again, so that a later `import torch_fidelity` elsewhere finds the
    real one.

    Raises:
        ExtractorError: the extra is not installed.
    """
    with _importing:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.submodule_search_locations is None:
            raise ExtractorError(MISSING)
        if PACKAGE in sys.modules:
            yield
            return
        stand_in = ModuleType(PACKAGE)
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules[PACKAGE] = stand_in
        try:
            yield
        finally:
            for name in [n for n in sys.modules if n == PACKAGE or n.startswith(f"{PACKAGE}.")]:
                del sys.modules[name]


def inception_module() -> ModuleType:
    """torch-fidelity's Inception module alone; see `bare_package`."""
    with bare_package():
        return importlib.import_module(MODULE)


def kept_weights(url: str) -> Path:
    """Where torch-fidelity's own weights lie once they were fetched: torch's download folder."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def why_not_fetched(url: str) -> str:
    """Why a file cannot be fetched, as its server answers when asked for no more than its size;
    empty where it can."""
    try:
        with urlopen(Request(url, method="HEAD"), timeout=PATIENCE_SECONDS):
            return ""
    except (OSError, ValueError) as error:  # URLError is an OSError
        return str(getattr(error, "reason", error))


def downloaded_weights(url: str) -> Path:
    """torch-fidelity's own weights, fetched once, checked by hash.

    Raises:
        ExtractorError: they cannot be downloaded.
    """
    path = kept_weights(url)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), SHA256_STARTS_WITH, progress=False)
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            raise ExtractorError(
                f"cannot download the Inception weights from {url} ({error}); give {WAY_OUT}"
            ) from error
    return path


def load_network(module: ModuleType, weights: Path, data: bytes) -> nn.Module:
    """The network with the weights of the file that held `data`, which is never unpickled into
    objects.

    Raises:
        ExtractorError: the file is no state dictionary of tensors, or another network's.
    """
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ExtractorError(
            f"{weights} is not a plain state dictionary of tensors: {reason_of(error)}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ExtractorError(f"{weights} does not hold a state dictionary of tensors")
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    try:
        network: nn.Module = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], checked
        )
    except RuntimeError as error:
        raise ExtractorError(
            f"{weights} does not hold the weights of torch-fidelity's Inception: {error}"
        ) from error
    require_state(state, network.state_dict(), "torch-fidelity's Inception")
    return network


class InceptionExtractor(Extractor):
    """2,048 features and 1,008 logits; `weights` is torch-fidelity's file, or None for its
    own download."""

    key = "inception"
    summary = "TF-Inception, the network of published FIDs, through torch-fidelity"
    order = 20
    suits_kinds = frozenset({"image"})
    classifies = True
    dim = 2048
    classes = 1008
    resize = "bilinear to 299x299 as TensorFlow 1"

    class Config(Extractor.Config):
        weights: Weights | None = knob(None, "torch-fidelity's .pth; its own download if none")

    def __init__(
        self, weights: Path | None = None, device: torch.device | str | None = None
    ) -> None:
        module = inception_module()
        self.resize_images: Any = module.interpolate_bilinear_2d_like_tensorflow1x
        path = weights or downloaded_weights(module.URL_INCEPTION_V3)
        data, self.fingerprint = read_weights(path)
        self.device = torch.device(device or "cpu")
        self.network = load_network(module, path, data).to(self.device)

    @classmethod
    def check(cls, config: Any, kind: str) -> list[Problem]:
        problems = list(super().check(config, kind))
        if problems:
            return problems
        if not installed():
            return [Problem("name", MISSING)]
        if config.weights is not None:
            try:
                cls(config.weights)
            except ExtractorError as error:
                return [Problem("weights", str(error))]
        return []

    @classmethod
    def out_of_reach(cls, config: Any) -> list[Problem]:
        if config.weights is not None:
            return []
        url = inception_module().URL_INCEPTION_V3
        path = kept_weights(url)
        if path.exists() or not (reason := why_not_fetched(url)):
            return []
        what = (
            f"the Inception weights are not at {path} and cannot be fetched from {url} ({reason})"
        )
        return [Problem("weights", what, WAY_OUT)]

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> InceptionExtractor:
        return cls(config.weights, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        require_images(images, self.key)
        return Features(*self.network(as_rgb(quantise(images).to(self.device))))

    def layers(self, images: Tensor) -> list[Tensor]:
        """Activations at the ends of the stem, of the 35×35, 17×17 and 8×8 stages."""
        require_images(images, self.key)
        levels = (as_rgb(images.to(self.device)) + 1) * 127.5
        x = self.resize_images(levels, size=(299, 299), align_corners=False)
        x = (x - 128) / 128
        activations = []
        for name, block in self.network.named_children():
            if name == "AvgPool":
                break
            x = block(x)
            if name in ("MaxPool_1", "MaxPool_2", "Mixed_5d", "Mixed_6e", "Mixed_7c"):
                activations.append(x)
        return activations

    @classmethod
    def example(cls, folder: Path) -> None:
        return None
