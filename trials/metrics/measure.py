"""What a measure is: one number, or several, that say how good a set of generated images is.

A measure is a part (`trials.part`): one class in one file of `trials/metrics/measures`.
Configurations, objectives, the JSON schema, the words of a report and the tests follow from it.
Its file imports torch only where it computes: the names, directions and words of measures are
asked for by commands that never measure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trials.errors import DataError
from trials.metrics.needs import Need
from trials.origins import origin_of
from trials.part import Part, PartConfig

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass
    from trials.metrics.real import RealData

Better = Literal["lower", "higher"]

FEW = 3
"""Parts that an answer names."""


class Measure(Part, ABC):
    """Computes one metric from one `Pass`."""

    kind = "measure"
    folders = ("trials.metrics.measures",)

    better: ClassVar[Better]
    """The direction of improvement."""

    paper: ClassVar[str]
    """Authors, year and arXiv number."""

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    """The kinds of data, `image` or `point`, for which it is measured unless the user
    chooses. Empty: only where it is asked for by name."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    """What data, extractor or generator must have for it to be measured."""

    order: ClassVar[int] = 1000
    """Its place in listings; measures of one place stand in alphabetical order."""

    brief: ClassVar[bool] = True
    """Whether it is shown where there is room for a few measures only."""

    label: ClassVar[str] = ""
    """What axes and headings call it; its key, with spaces, unless said otherwise."""

    method: ClassVar[str] = ""
    """What a value is, for the sentence "FID is … of 5,000 generated images", if that says more
    than its label."""

    class Config(PartConfig):
        """The knobs of a measure. They stand in the protocol of every value beside it."""

        part: ClassVar[type[Measure]]

    of_parts: ClassVar[bool] = False
    """Whether it is no number but several, one for each part (a class): `key/part`."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def acts_unnamed(cls) -> bool:
        return bool(cls.kinds)

    @classmethod
    def rank(cls) -> tuple[int, str]:
        """By `order`, then by name."""
        return cls.order, cls.key

    @classmethod
    def title(cls) -> str:
        """What axes and headings call it."""
        return cls.label or cls.key.replace("_", " ")

    @classmethod
    def may_have_parts(cls) -> bool:
        """Whether a name of its may end with a part. One that is not ours and does not say so may
        give parts all the same."""
        return cls.of_parts or not origin_of(cls).ours

    @classmethod
    def parts(cls, data: RealData) -> Sequence[str] | None:
        """The parts that it has on these data; None where only `compute` knows."""
        return None

    @abstractmethod
    def compute(self, seen: Pass) -> float | Mapping[str, float]:
        """The value, or a value for each of several parts (classes). NaN is no value.

        The same pass gives the same value: what is drawn comes from a seed of the measure's own.
        """

    def values(self, seen: Pass) -> dict[str, float]:
        """The metric's value by name; a measure of several values names them `key/part`."""
        value = self.compute(seen)
        if isinstance(value, Mapping):
            return {f"{self.key}/{part}": self._number(of) for part, of in value.items()}
        return {self.key: self._number(value)}

    def _number(self, value: Any) -> float:
        """A value as files can hold it, also where it is a tensor of one number."""
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"the measure '{self.key}' gives {value!r} (expected a float)")
        return float(value)


def require_part(name: str, data: RealData) -> None:
    """See that these data have the part that a name ends with, where it ends with one.

    Raises:
        DataError: they have not; it names some that they have.
    """
    stem, slash, part = name.partition("/")
    parts = Measure.named(stem).parts(data) if slash and stem in Measure.all() else None
    if parts is not None and part not in parts:
        few = ", ".join(f"{stem}/{one}" for one in parts[:FEW]) + ", …" * (len(parts) > FEW)
        raise DataError(f"{data.name} has no {name} (expected {few})")


def knobs_in_words(measures: Iterable[PartConfig]) -> str:
    """What the protocol says of measures that have knobs: `; mine neighbours=3`; else nothing."""
    return "".join(
        f"; {knobs.name} {' '.join(f'{name}={value}' for name, value in given.items())}"
        for knobs in measures
        if (given := knobs.model_dump(mode="json"))
    )
