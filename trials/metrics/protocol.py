"""What a number called FID was measured with, and which of such numbers may be compared.

The same generator scores differently under another extractor, sample count, resize rule or set
of batch statistics, so every value carries its `Protocol`, as text, and whatever compares values
asks `alike` first. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

CONFIGURED = frozenset({"weights"})
"""Fields that a configuration decides: the trick `ema` is what has averaged weights sampled, so a
search or an ablation of it compares averaged with raw ones by intent."""


@dataclass(frozen=True)
class Protocol:
    """Everything a measured value depends on besides the generator itself."""

    extractor: str
    extractor_hash: str
    data: str
    data_hash: str
    real_count: int
    fake_count: int
    resize: str
    quantisation: str
    weights: str
    """`raw` or `averaged`: which of the generator's weights were sampled."""
    batch_statistics: str
    """`running`, or `standing:BATCHESxSIZE`: how normalisation layers were set."""
    settings: str = ""
    """Constants of the single measures, such as the k of the nearest neighbours."""

    def as_dict(self) -> dict[str, str]:
        """All fields as text, ready for tags and JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def alike(first: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether values of these two protocols may be compared.

    An empty one says that no distance was measured: nothing forbids it then.
    """
    return not first or not other or first == other or not differing(first, other)


def differing(first: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The fields that keep values of two protocols apart, each with both texts; a field that one of
    them does not have is empty in it."""
    names = [name for name in dict.fromkeys([*first, *other]) if name not in CONFIGURED]
    both = {name: (str(first.get(name, "")), str(other.get(name, ""))) for name in names}
    return {name: texts for name, texts in both.items() if texts[0] != texts[1]}


def counted(metric: str, count: int) -> str:
    """The metric's name with its number of generated samples: `fid_5k`, `fid_1024`.

    For names that leave their protocol behind (a table, a figure, a paper).
    """
    size = f"{count // 1000}k" if count % 1000 == 0 and count else str(count)
    name, slash, rest = metric.partition("/")
    return f"{name}_{size}{slash}{rest}"
