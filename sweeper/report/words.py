"""Numbers, measures, causes and protocols in the words of a reader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.ablation.blame import SCHEDULER
from trials.health import SYMPTOMS

NONE = "–"

STATE_WORDS = {
    "completed": "completed",
    "pruned": "stopped early",
    "failed": "failed",
    "running": "running",
    "waiting": "waiting",
}

_MEASURES = {
    "fid": "FID",
    "kid": "KID",
    "inception_score": "Inception score",
    "class_kl": "class KL divergence",
    "reverse_kl": "reverse KL divergence",
}
_METHODS = {
    "fid": "the Fréchet distance",
    "kid": "the kernel distance",
    "inception_score": "the Inception score",
    "precision": "precision (k-nearest neighbours)",
    "recall": "recall (k-nearest neighbours)",
}


@dataclass(frozen=True)
class Cause:
    """Why a trial did not reach its last step. `saves`: training on would have been waste."""

    meaning: str
    saves: bool = True


CAUSES: Mapping[str, Cause] = {
    SCHEDULER: Cause(
        "The scheduler stopped it: at the same step, other trials were better. Nothing was wrong."
    ),
    "out_of_memory": Cause(
        "The worker ran out of memory. A smaller batch, accumulate, or fewer trials in parallel "
        "help.",
        saves=False,
    ),
    "worker_died": Cause(
        "The process that trained it died, and again when it was tried anew. This says nothing "
        "about the configuration.",
        saves=False,
    ),
    "cancelled": Cause("An operator cancelled the sweep while it ran.", saves=False),
    "error": Cause("The training raised an error; its last lines of log are below.", saves=False),
}
"""Causes beside the symptoms of health, which say themselves what they mean."""


def cause(symptom: str | None) -> Cause:
    """What is known of a cause by its name; an unknown name counts as a lost trial."""
    if symptom is not None and symptom in SYMPTOMS:
        sign = SYMPTOMS[symptom]
        return Cause(f"{sign.description}. {sign.advice}")
    if symptom is not None and symptom in CAUSES:
        return CAUSES[symptom]
    return Cause("No explanation of this cause is known.", saves=False)


def plain(name: str | None) -> str:
    """`mode_collapse` → `mode collapse`."""
    return "not recorded" if name is None else name.replace("_", " ")


def measure(name: str) -> str:
    """A measure as axes and headings call it: `fid/class_3` → `FID, class 3`."""
    head, slash, part = name.partition("/")
    shown = _MEASURES.get(head, head.replace("_", " "))
    return f"{shown}, {part.replace('_', ' ')}" if slash else shown


def better(goal: str) -> str:
    return "higher is better" if goal == "maximize" else "lower is better"


def short_path(path: str) -> str:
    """A parameter's path without what every reader knows: `tricks.ema.decay` → `ema.decay`."""
    return path.removeprefix("tricks.")


def brief_path(path: str) -> str:
    """The end of a path that still tells: `generator.lr`, `ema.decay`, `batch_size`."""
    return ".".join(short_path(path).split(".")[-2:])


def number(value: float | None) -> str:
    """Four figures: 0.0001234, 12.34, 1,234, 1.23e+08; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 7 or size < -4:
        text = f"{value:.3g}"
    elif size >= 3:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{3 - size}f}"
    return f"−{text[1:]}" if value < 0 else text


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
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def protocol_in_words(metric: str, protocol: Mapping[str, str]) -> str:
    """One sentence that says what a value of this measure is a distance between."""
    if not protocol:
        return f"How {measure(metric)} was measured was not recorded."
    get = {name: str(text) for name, text in protocol.items()}.get
    head = metric.partition("/")[0]
    method = _METHODS.get(head, measure(metric))
    fake, real = get("fake_count"), get("real_count")
    parts = [f"{measure(metric)} is {method}" if head in _METHODS else f"{method} is measured"]
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
        )
        if text
    ]
    return " ".join(parts) + "." + (f" {sentence('; '.join(details))}." if details else "")


def sentence(text: str) -> str:
    """With a capital, to begin a sentence or a title."""
    return text[:1].upper() + text[1:]


def _count(text: str) -> str:
    return f"{int(text):,}" if text.isdigit() else text


def _hash(text: str | None) -> str:
    return f" ({text.removeprefix('sha256:')[:8]})" if text else ""
