"""Pictures of a sweep: the best trials' samples, one trial over steps, configurations by steps."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from sweeper.home import SweepFolder
from sweeper.report.thumbnails import (
    BORDER,
    LIGHT,
    TILE,
    Paper,
    font,
    open_grid,
    samples_of,
    thumbnail,
    write,
)
from sweeper.standings import Standing, Standings
from sweeper.wording import brief_path, measure, number, plain, setting, short_path, spread

BEST_SHOWN = 3
STRIP = 8
"""Most evaluations in a film strip; between them, first and last included, evenly chosen."""
ROWS, STEPS = 8, 6
"""Most configurations and steps in the gallery."""
T = TypeVar("T")

_LOOKED_AT = 200
"""Most trials whose folders are looked into for the gallery."""
_TILES = 4
_CELL = _TILES * (TILE + BORDER) + BORDER
_SPACE = 20
_MARGIN = 12
_LINE = 32
_LABEL = 420
_TITLE, _TEXT = 26, 24


def png(picture: Image.Image, paper: Paper = LIGHT) -> bytes:
    """The picture as PNG with a margin, the same bytes for the same picture."""
    buffer = io.BytesIO()
    ImageOps.expand(picture, border=_MARGIN, fill=paper.colour).save(buffer, format="PNG")
    return buffer.getvalue()


def best_samples(
    standings: Standings, folder: SweepFolder, paper: Paper = LIGHT
) -> Image.Image | None:
    """Last sample grids of the best trials, and of the base beside them. None without any."""
    chosen = [standing for standing in standings.order if standing.rank is not None][:BEST_SHOWN]
    chosen += [
        standing
        for standing in standings.order
        if standing.trial.role == "base" and standing not in chosen
    ]
    shown: list[tuple[Standing, Image.Image]] = []
    for standing in chosen:
        samples = samples_of(folder, standing.trial)
        picture = open_grid(samples[max(samples)]) if samples else None
        if picture is not None:
            shown.append((standing, thumbnail(picture, 10, 8, paper)))
    if not shown:
        return None
    top = 3 * _LINE + 14
    width = max(300, *(picture.width for _, picture in shown))
    height = max(picture.height for _, picture in shown)
    sheet, pen = _sheet(len(shown) * (width + _SPACE) - _SPACE, top + height, paper)
    for index, (standing, picture) in enumerate(shown):
        left = index * (width + _SPACE)
        for line, text in enumerate(_headline(standing, standings)):
            face = font(_TITLE if line == 0 else _TEXT, bold=line == 0)
            at = (left + BORDER, line * _LINE)
            write(pen, at, text, face, width=width - BORDER, colour=paper.ink)
        sheet.paste(picture, (left, top))
    return sheet


def film_strip(
    standings: Standings, folder: SweepFolder, paper: Paper = LIGHT
) -> Image.Image | None:
    """The best trial that left samples of two evaluations or more, at each. None where none did."""
    for standing in standings.order[:_LOOKED_AT]:
        samples = samples_of(folder, standing.trial)
        steps = _evenly(sorted(samples), STRIP)
        pictures = {step: open_grid(samples[step]) for step in steps}
        frames = {step: picture for step, picture in pictures.items() if picture is not None}
        if len(frames) < 2:
            continue
        curve = standings.curve(standing.trial)
        top = _LINE + 12
        width = len(frames) * (_CELL + _SPACE) - _SPACE
        sheet, pen = _sheet(width, top + _CELL + 2 * _LINE + 8, paper)
        cell = standing.trial.cell
        title = (f"{cell}, " if cell else "") + f"trial {standing.trial.name}"
        write(pen, (BORDER, 0), title, font(_TITLE, bold=True), width=width, colour=paper.ink)
        for index, (step, picture) in enumerate(frames.items()):
            left = index * (_CELL + _SPACE)
            sheet.paste(thumbnail(picture, _TILES, _TILES, paper), (left, top))
            value = f"{measure(standings.metrics[0])} {number(curve.get(step))}"
            below = ((f"step {step:,}", paper.ink), (value, paper.muted))
            for line, (text, colour) in enumerate(below):
                at = (left, top + _CELL + 6 + line * _LINE)
                write(pen, at, text, font(_TEXT), width=_CELL, colour=colour, centred=True)
        return sheet
    return None


def gallery(standings: Standings, folder: SweepFolder, paper: Paper = LIGHT) -> Image.Image | None:
    """Configurations, best to worst, by steps. None for fewer than two with samples."""
    rows = rows_of(standings, folder)
    if len(rows) < 2:
        return None
    steps = _evenly(sorted({step for _, samples in rows for step in samples}), STEPS)
    top = _LINE + 10
    row_height = _CELL + _LINE + _SPACE
    sheet, pen = _sheet(
        _LABEL + len(steps) * (_CELL + _SPACE) - _SPACE,
        top + len(rows) * row_height - _SPACE,
        paper,
    )
    for column, step in enumerate(steps):
        at = (_LABEL + column * (_CELL + _SPACE), 0)
        face = font(_TITLE, bold=True)
        write(pen, at, f"step {step:,}", face, width=_CELL, centred=True, colour=paper.ink)
    for index, (standing, samples) in enumerate(rows):
        above = top + index * row_height
        _label(pen, above, standing, standings, paper)
        _frames(sheet, pen, above, standing, standings, samples, steps, paper)
    return sheet


# Parts of the gallery ---------------------------------------------------------------------------


def rows_of(standings: Standings, folder: SweepFolder) -> list[tuple[Standing, Mapping[int, Path]]]:
    """Trials with samples, evenly chosen from best to worst, the base always among them, in that
    order; with each its sample grids by step."""
    started = [standing for standing in standings.order if standing.trial.steps > 0]
    looked_at = _evenly(started, _LOOKED_AT)
    pictured = [(standing, samples_of(folder, standing.trial)) for standing in looked_at]
    pictured = [(standing, samples) for standing, samples in pictured if samples]
    chosen = _evenly(range(len(pictured)), ROWS)
    base = next(
        (i for i, (standing, _) in enumerate(pictured) if standing.trial.role == "base"), None
    )
    if base is not None and base not in chosen:
        inner = chosen[1:-1]  # best and worst keep their places
        chosen = sorted({*chosen} - {min(inner, key=lambda i: abs(i - base))} | {base})
    return [pictured[index] for index in chosen]


def _label(
    pen: ImageDraw.ImageDraw, top: int, standing: Standing, standings: Standings, paper: Paper
) -> None:
    width = _LABEL - _SPACE
    lines = _headline(standing, standings)
    write(pen, (0, top), lines[0], font(_TITLE, bold=True), width=width, colour=paper.ink)
    for index, text in enumerate([*lines[1:], *_settings(standing, standings)][:8], 1):
        write(
            pen,
            (0, top + index * _LINE + 4),
            text,
            font(_TEXT),
            width=width,
            colour=paper.muted if index > len(lines) - 1 else paper.ink,
        )


def _frames(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    top: int,
    standing: Standing,
    standings: Standings,
    samples: Mapping[int, Path],
    steps: Sequence[int],
    paper: Paper,
) -> None:
    curve = standings.curve(standing.trial)
    earlier, ended = 0, False
    for column, step in enumerate(steps):
        left = _LABEL + column * (_CELL + _SPACE)
        # A trial measured at other steps shows its last picture up to this one.
        own = [s for s in samples if earlier < s <= step]
        picture = open_grid(samples[max(own)]) if own else None
        earlier = step
        if picture is not None:
            sheet.paste(thumbnail(picture, _TILES, _TILES, paper), (left, top))
            text = number(curve.get(max(own)))
            if max(own) != step:
                text += f" (step {max(own):,})"
            at = (left, top + _CELL + 2)
            write(pen, at, text, font(_TEXT), width=_CELL, centred=True, colour=paper.muted)
        elif step > max(samples) and not ended:
            ended = True
            words = "ended" if standing.trial.state == "completed" else "stopped"
            if standing.trial.state in ("running", "waiting"):
                words = "so far"
            for line, text in enumerate((words, f"at step {standing.trial.steps:,}")):
                at = (left, top + _CELL // 2 + (line - 1) * _LINE)
                write(pen, at, text, font(_TEXT), width=_CELL, centred=True, colour=paper.muted)


def _headline(standing: Standing, standings: Standings) -> list[str]:
    """Who it is, its score, and its score on fresh seeds or why it has none."""
    trial = standing.trial
    place = f"#{standing.rank}  " if standing.rank is not None else ""
    who = trial.cell or f"trial {trial.name}"
    lines = [place + who + ("  (base)" if trial.role == "base" else "")]
    if trial.state == "completed":
        values = [
            (metric, standings.final(trial, index))
            for index, metric in enumerate(standings.metrics)
        ]
        shown = f", trial {trial.name}" if trial.cell else ""
        lines += [f"{measure(metric)} {number(value)}{shown}" for metric, value in values]
    else:
        why = f": {plain(trial.cause)}" if trial.cause else ""
        words = "stopped early" if trial.state == "pruned" else trial.state
        lines.append(words + why)
    confirmed = standing.confirmed
    if confirmed is not None and confirmed.mean is not None:
        seeds = "1 seed" if confirmed.count == 1 else f"{confirmed.count} seeds"
        lines.append(f"{spread(confirmed.mean, confirmed.deviation)} on {seeds}")
    return lines


def _settings(standing: Standing, standings: Standings) -> list[str]:
    """Its searched values in as few lines as they fit in, tricks that are on first."""
    values = standing.trial.values
    tricks, knobs = [], []
    for parameter in standings.sweep.parameters:
        value = values.get(parameter.path)
        if isinstance(value, bool):
            tricks += [short_path(parameter.path)] if value else []
        elif value is not None and parameter.path != "seed":
            knobs.append(f"{brief_path(parameter.path)} {setting(value)}")
    return [*_packed(tricks), *_packed(knobs)]


def _packed(items: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for item in items:
        joined = f"{lines[-1]}, {item}" if lines else item
        if lines and font(_TEXT).getlength(joined) <= _LABEL - _SPACE:
            lines[-1] = joined
        else:
            lines.append(item)
    return lines


def _sheet(width: int, height: int, paper: Paper) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (width, height), paper.colour)
    return sheet, ImageDraw.Draw(sheet)


def _evenly(items: Sequence[T], wanted: int) -> list[T]:
    """At most that many of them, the first and the last included."""
    if len(items) <= wanted:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, wanted).round().astype(int)]
