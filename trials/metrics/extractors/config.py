"""Which feature extractor a trial measures with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from trials.errors import ExtractorError
from trials.metrics.extractors import inception
from trials.metrics.extractors.base import Extractor
from trials.metrics.extractors.digits import DigitsExtractor
from trials.metrics.extractors.identity import IdentityExtractor
from trials.metrics.extractors.torchscript import TorchScriptExtractor
from trials.paths import at_home
from trials.problems import Problem

ExtractorName = Literal["digits", "inception", "torchscript", "identity"]


class ExtractorConfig(BaseModel):
    """``auto``: digits for the digits data, identity for points, inception for other images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["auto"] | ExtractorName = "auto"
    weights: Annotated[Path, AfterValidator(at_home)] | None = Field(
        default=None,
        description="Weights file: torch-fidelity's .pth for inception, a trusted TorchScript"
        " module for torchscript, safetensors for digits; none is needed for digits and identity",
    )


def _from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


AnyExtractor = Annotated[
    ExtractorConfig,
    BeforeValidator(_from_name, json_schema_input_type=ExtractorConfig | str),
]
"""``extractor: inception`` is short for ``extractor: {name: inception}``."""


class Measurable(Protocol):
    """What the choice of an extractor depends on; a trials.data Dataset is one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def resolve(config: ExtractorConfig, data_name: str, kind: str) -> ExtractorName:
    """The extractor's name with ``auto`` decided. ``kind`` is ``image`` or ``point``."""
    if config.name != "auto":
        return config.name
    if kind == "point":
        return "identity"
    return "digits" if data_name == "digits" else "inception"


def check_extractor(
    config: ExtractorConfig, data_name: str, kind: str, path: str = "evaluation.extractor"
) -> list[Problem]:
    """Problems that can be seen without the data: cheap enough for ``validate``.

    Weights of digits and inception are loaded and compared with the network; a TorchScript file
    is only looked for, since opening it runs it. Nothing is downloaded.
    """
    problems = _check_choice(config, data_name, kind, path)
    name, weights = resolve(config, data_name, kind), config.weights
    if problems or weights is None or name not in ("digits", "inception"):
        return problems
    try:
        DigitsExtractor(weights) if name == "digits" else inception.InceptionExtractor(weights)
    except ExtractorError as error:
        return [Problem(f"{path}.weights", str(error))]
    return []


def _check_choice(config: ExtractorConfig, data_name: str, kind: str, path: str) -> list[Problem]:
    """The problems that need no weights to be read."""
    name = resolve(config, data_name, kind)
    weights = config.weights
    if kind == "point" and name in ("digits", "inception"):
        return [Problem(f"{path}.name", f"{name} looks at images, the data are points", "identity")]
    if name == "identity" and weights is not None:
        return [Problem(f"{path}.weights", "the identity extractor has no weights", "none")]
    if name == "torchscript" and weights is None:
        return [Problem(f"{path}.weights", "a TorchScript extractor needs its file", "a path")]
    if weights is not None and not weights.is_file():
        return [Problem(f"{path}.weights", f"there is no file {weights}", "a path")]
    if name == "inception" and not inception.installed():
        return [Problem(f"{path}.name", inception.MISSING)]
    return []


def build_extractor(
    config: ExtractorConfig, data: Measurable, device: torch.device | str | None = None
) -> Extractor:
    """The extractor for these data, loaded and in eval mode. Raises ExtractorError."""
    problems = _check_choice(config, data.name, data.kind, "evaluation.extractor")
    if problems:
        raise ExtractorError("; ".join(map(str, problems)))
    name = resolve(config, data.name, data.kind)
    if name == "identity":
        return IdentityExtractor(data.shape, device)
    if name == "torchscript":
        assert config.weights is not None  # check_extractor has refused None
        return TorchScriptExtractor(config.weights, data.shape, device)
    if name == "digits":
        return DigitsExtractor(config.weights, device)
    return inception.InceptionExtractor(config.weights, device)
