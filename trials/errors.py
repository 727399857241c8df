"""The trainer's exceptions.

TrialError
├── ConfigError       the configuration is wrong; carries every problem at once
├── DataError         the data cannot be read or do not fit
├── ExtractorError    the feature extractor or its weights are wrong
├── CheckpointError   a checkpoint belongs to another configuration or is damaged
│   └── StaleCheckpointError   what it was trained on, or measured by, is not what it was
├── DrawingError      samples that a generator cannot give
├── Preempted         this training was asked to leave its machine, and has saved itself
└── TakenOver         another attempt goes on with this training
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.problems import Problem

_SWITCHES = ("allow_pickle", "weights_only", "max_header_size")
"""What their advice names."""


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


class StaleCheckpointError(CheckpointError):
    """A checkpoint that was trained on other data, or measured by another protocol, than there is
    now. The same configuration can be trained again from its beginning."""


class DrawingError(TrialError):
    """Samples were asked for that a generator cannot give, with the reason."""


class Preempted(TrialError):  # noqa: N818 - what happened
    """The training was asked to leave its machine between two evaluations; it has saved itself as
    it is, and goes on elsewhere from there."""


class TakenOver(TrialError):  # noqa: N818 - what happened
    """Another attempt goes on with this training, and this one may write nothing more."""


def in_one_line(error: BaseException) -> str:
    """An exception that nobody here raised, told in one line: its type and what it says first."""
    message = next(iter(str(error).strip().splitlines()), "")
    return encodable(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def encodable(text: str) -> str:
    """`text` with what UTF-8 cannot hold spelt out: the name of a file in another encoding has some
    of it, and no database, log or answer takes it."""
    return text.encode("utf-8", "backslashreplace").decode()


def reason_of(error: Exception) -> str:
    """What NumPy or torch says of a file, on one line, but never its advice to switch a protection
    off: whatever else than plain arrays a file holds would be run as a program."""
    words = " ".join(str(error).split()) or type(error).__name__
    if any(switch in words for switch in _SWITCHES):
        return "it holds more than plain arrays, and nothing else is ever loaded: it could run code"
    return words
