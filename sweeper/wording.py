"""Numbers, measures and protocols in the words of a reader: terminal, tables, figures and pages.

Numbers have a typographic minus, places by their spread, and one dash for nothing. What a measure
is called, it says itself. Pure.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from trials.metrics.protocol import differing

if TYPE_CHECKING:
    from trials.metrics.measure import Measure

NONE = "–"

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\n")
"""What a formula begins with in one spreadsheet or another, those of wide keyboards too."""

_KEPT = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"

STATE_WORDS = {
    "completed": "completed",
    "pruned": "stopped early",
    "failed": "failed",
    "running": "running",
    "waiting": "waiting",
}

_FIELDS = {
    "extractor_hash": "weights of the extractor",
    "data": "name of the data",
    "data_hash": "contents of the data",
    "real_count": "number of real images",
    "fake_count": "number of generated images",
    "settings": "settings of the measures",
}
"""What fields of a protocol are called, where their names alone do not say it."""

_HASH = re.compile(r"(sha256:)?[0-9a-f]{32,}")


def visible(text: str) -> str:
    """`text` with what is not seen and acts on a terminal or on the text around it spelt out.

    Those are control characters, marks of another writing direction and their like: an escape
    becomes `\\x1b`, a mark `\\u202e`. Line ends, tabs and the joiners of Persian and of emoji stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character if _stays(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def on_one_line(text: str) -> str:
    """`text` for a cell of a table: as `visible`, with line ends and tabs spelt out too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def in_spreadsheet(cell: Any) -> Any:
    """A cell as a CSV may hold it: a text that a spreadsheet would run as a formula gets a `'`.

    Numbers stay as they are, and so does a text that is one, such as `-0.5`.
    """
    if not isinstance(cell, str):
        return cell
    shown = visible(cell)  # a bare carriage return begins another row for some
    if not shown.startswith(_FORMULA):
        return shown
    try:
        float(shown)
    except ValueError:
        return f"'{shown}"
    return shown


def _stays(character: str) -> bool:
    return (
        character.isprintable()
        or character in _KEPT
        or unicodedata.category(character) == "Zs"  # spaces of other widths
    )


def plain(name: str | None) -> str:
    """`mode_collapse` → `mode collapse`."""
    return "not recorded" if name is None else name.replace("_", " ")


def measure(name: str) -> str:
    """A measure as axes and headings call it: `fid/class_3` → `FID, class 3`."""
    head, slash, part = name.partition("/")
    measure_class = _measure_called(head)
    shown = measure_class.title() if measure_class else head.replace("_", " ")
    return f"{shown}, {part.replace('_', ' ')}" if slash else shown


def _measure_called(name: str) -> type[Measure] | None:
    """The measure of that name; None for what a trick logs, or where it is not installed."""
    # Most commands print numbers and name no measure: they need no configuration classes either.
    from trials.metrics.measure import Measure

    return Measure.all().get(name)


def better(goal: str) -> str:
    """Which way a metric with this goal improves."""
    return "higher is better" if goal == "maximize" else "lower is better"


def short_path(path: str) -> str:
    """A parameter's path without what every reader knows: `tricks.ema.decay` → `ema.decay`."""
    return path.removeprefix("tricks.")


def brief_path(path: str) -> str:
    """The end of a path that still tells: `generator.lr`, `ema.decay`, `batch_size`."""
    return ".".join(short_path(path).split(".")[-2:])


def number(value: float | None, places: int | None = None, *, signed: bool = False) -> str:
    """A number with a typographic minus; a dash where there is none (None, NaN).

    With `places` after the point: `−1.20`, a power of ten from 1e7 on. Without, four figures:
    0.0001234, 12.34, 1,234, 1.23e+08.
    """
    if value is None or math.isnan(value):
        return NONE
    sign = "+" if signed else ""
    if math.isinf(value):
        text = f"{sign if value > 0 else '-'}∞"
    elif places is not None:
        text = f"{value:{sign}.3e}" if abs(value) >= 1e7 else f"{value:{sign}.{places}f}"
    elif value == 0:
        text = "0"
    else:
        size = math.floor(math.log10(abs(value)))
        if size >= 7 or size < -4:
            text = f"{value:{sign}.3g}"
        elif size >= 3:
            text = f"{value:{sign},.0f}"
        else:
            text = f"{value:{sign}.{3 - size}f}"
    return f"−{text[1:]}" if text.startswith("-") else text


def decimals(spread: Iterable[float], values: Iterable[float]) -> int:
    """Places after the point: two figures of the typical spread, or four of the typical value."""
    for figures, numbers in ((2, spread), (4, values)):
        sizes = [size for value in numbers if math.isfinite(size := abs(float(value))) and size > 0]
        if sizes:
            return min(max(figures - 1 - math.floor(math.log10(median(sizes))), 0), 8)
    return 2


def spread(mean: float, deviation: float | None) -> str:
    """`13.1 ± 0.4`: the mean to the places that two figures of its deviation have."""
    if deviation is None or not math.isfinite(deviation) or not math.isfinite(mean):
        return number(mean)
    if deviation == 0:
        return f"{number(mean)} ± 0"
    places = min(max(1 - math.floor(math.log10(deviation)), 0), 6)
    if places == 6 or abs(mean) >= 1e7:
        return f"{mean:.3g} ± {deviation:.2g}".replace("-", "−")
    return f"{mean:,.{places}f} ± {deviation:,.{places}f}".replace("-", "−")


def with_interval(
    value: float, low: float, high: float, places: int, *, signed: bool = False
) -> str:
    """`−1.20 [−2.00, −0.40]`."""
    text = number(value, places, signed=signed)
    if math.isnan(low):
        return text
    return f"{text} [{number(low, places, signed=signed)}, {number(high, places, signed=signed)}]"


def p_text(value: float) -> str:
    """Three places, or that it is below a thousandth."""
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def seeds_text(seeds: Iterable[int]) -> str:
    """`0–4, 7, 10–12`."""
    ordered = sorted(set(seeds))
    parts, start = [], 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or ordered[end] != ordered[end - 1] + 1:
            first, last = ordered[start], ordered[end - 1]
            parts.append(str(first) if first == last else f"{first}–{last}")
            start = end
    return ", ".join(parts)


def setting(value: Any) -> str:
    """A parameter's value: `on`, `off`, `0.0002`, `hinge`."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def duration(seconds: float | None) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, lower, lower_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // lower
            return (
                f"{whole // size} {name} {rest} {lower_name}" if rest else f"{whole // size} {name}"
            )
    return f"{whole} s"


def plural(count: int, noun: str) -> str:
    """`1 trial`, `1,234 trials`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def few(names: Sequence[str], most: int = 3) -> str:
    """`a, b and c`, of many the first ones: `a, b, c and 2 more`."""
    told = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))


def in_bytes(count: int) -> str:
    """`640 kB`, `12.3 GB`: a size with three digits that count, in thousands as disks are sold."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"


def protocol_in_words(metric: str, protocol: Mapping[str, str]) -> str:
    """One sentence that says what a value of this measure is a distance between."""
    if not protocol:
        return f"How {measure(metric)} was measured was not recorded."
    get = {name: str(text) for name, text in protocol.items()}.get
    measure_class = _measure_called(metric.partition("/")[0])
    method = measure_class.method if measure_class else ""
    fake, real = get("fake_count"), get("real_count")
    shown = measure(metric)
    parts = [f"{shown} is {method}" if method else f"{shown} is measured"]
    parts.append(
        f"of {_count(fake)} generated images against {_count(real)} real images"
        if fake and real
        else "of generated images against real ones"
    )
    if data := get("data"):
        parts.append(f"of {data}{_hash(get('data_hash'))}")
    if extractor := get("extractor"):
        parts.append(f"on the features of the {extractor} extractor{_hash(get('extractor_hash'))}")
    details = [
        f"{title}: {text}"
        for title, text in (
            ("resize", get("resize")),
            ("quantisation", get("quantisation")),
            ("generator weights", get("weights")),
            ("batch statistics", get("batch_statistics")),
            ("intake", get("intake")),
        )
        if text
    ]
    return " ".join(parts) + "." + (f" {sentence('; '.join(details))}." if details else "")


def over_of(over: int, budget: int | None) -> str:
    """How many trials are over of how many: `12 of 20`; where a limit was lowered below what had
    run, that of all of them there is no further."""
    return f"{over:,} of {max(over, budget):,}" if budget else f"{over:,}"


def protocol_field(name: str) -> str:
    """A field of a protocol as a reader calls it."""
    return _FIELDS.get(name, name.replace("_", " "))


def changes_in_words(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What keeps values of two protocols apart: `contents of the data 1a2b3c4d before, 5e6f7a8b
    now`."""
    return "; ".join(
        f"{protocol_field(name)} {_field_text(was)} before, {_field_text(text)} now"
        for name, (was, text) in differing(before, now).items()
    )


def _field_text(text: str) -> str:
    if _HASH.fullmatch(text):
        return text.removeprefix("sha256:")[:8]
    return _count(text) or "nothing"


def sentence(text: str) -> str:
    """With a capital, to begin a sentence or a title."""
    return text[:1].upper() + text[1:]


def _count(text: str) -> str:
    return f"{int(text):,}" if text.isdigit() else text


def _hash(text: str | None) -> str:
    return f" ({text.removeprefix('sha256:')[:8]})" if text else ""
