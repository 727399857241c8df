"""Feature extractors: the networks through which images are measured."""

from __future__ import annotations

from trials.metrics.extractors.base import QUANTISATION, Extractor, Features, quantise
from trials.metrics.extractors.config import (
    AnyExtractor,
    ExtractorConfig,
    build_extractor,
    check_extractor,
)

__all__ = [
    "QUANTISATION",
    "AnyExtractor",
    "Extractor",
    "ExtractorConfig",
    "Features",
    "build_extractor",
    "check_extractor",
    "quantise",
]
