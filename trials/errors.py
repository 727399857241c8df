"""The trainer's exceptions.

TrialError
├── ConfigError       the configuration is wrong; carries every problem at once
├── DataError         the data cannot be read or do not fit
├── ExtractorError    the feature extractor or its weights are wrong
├── CheckpointError   a checkpoint belongs to another configuration or is damaged
└── TakenOver         another attempt goes on with this training
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.problems import Problem


class TrialError(Exception):
    """Anything a trial refuses to do, with a message meant for its user."""


class ConfigError(TrialError):
    """A configuration with problems; `problems` holds all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(TrialError):
    """Data that cannot be read, are empty, or do not have the shape they should."""


class ExtractorError(TrialError):
    """A feature extractor that cannot be built, or weights that are not its own."""


class CheckpointError(TrialError):
    """A checkpoint that cannot be used for this configuration."""


class TakenOver(TrialError):  # noqa: N818 - what happened
    """Another attempt goes on with this training, and this one may write nothing more."""
