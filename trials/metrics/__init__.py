"""How good a generator is: feature extractors, metrics and the protocol that gives them meaning."""

from __future__ import annotations

from trials.metrics.config import EvaluationConfig
from trials.metrics.evaluator import Evaluator, Measured, SampleSignals
from trials.metrics.extractors import ExtractorConfig, build_extractor, check_extractor
from trials.metrics.frechet import Moments, Reference, frechet_distance
from trials.metrics.measures import MEASURES
from trials.metrics.protocol import Protocol, ProtocolError, counted, require_same
from trials.metrics.standing import standing_statistics

__all__ = [
    "MEASURES",
    "EvaluationConfig",
    "Evaluator",
    "ExtractorConfig",
    "Measured",
    "Moments",
    "Protocol",
    "ProtocolError",
    "Reference",
    "SampleSignals",
    "build_extractor",
    "check_extractor",
    "counted",
    "frechet_distance",
    "require_same",
    "standing_statistics",
]
