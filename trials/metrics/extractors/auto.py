"""The extractor that suits the data: the one place where that is decided.

First comes the extractor made for the very source (`digits` for the digits), then the one for
its kind (`identity` for points, `inception` for images). What each suits, it says itself.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from trials.errors import ConfigError
from trials.metrics.extractor import Extractor, Features, Weights
from trials.part import knob
from trials.problems import Problem


class AutoExtractor(Extractor):
    """Stands for another extractor and is never built itself."""

    key = "auto"
    summary = "the extractor that suits the data"
    order = 0
    takes = frozenset({"image", "point"})

    class Config(Extractor.Config):
        weights: Weights | None = knob(None, "weights file of the extractor that suits the data")

    @classmethod
    def decided(cls, config: Any, source: str, kind: str) -> Extractor.Config:
        every = Extractor.all().values()
        suiting = [extractor for extractor in every if source in extractor.suits_sources]
        suiting += [extractor for extractor in every if kind in extractor.suits_kinds]
        if not suiting:
            raise ConfigError([Problem("name", f"no extractor is made for {kind}s", "a name")])
        chosen = suiting[0]
        if config.weights is None:
            return chosen.Config()
        if "weights" not in chosen.Config.model_fields:
            problem = Problem("weights", f"the {chosen.key} extractor has no weights", "none")
            raise ConfigError([problem])
        return chosen.Config.model_validate({"weights": config.weights})

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> NoReturn:
        raise TypeError("auto is decided before anything is built")

    def __call__(self, images: torch.Tensor) -> Features:
        raise TypeError("auto is decided before anything is measured")
