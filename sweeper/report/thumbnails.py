"""Small pictures out of the trials' sample grids.

A grid on disk is a sheet of square tiles with white gaps of two pixels between them (see
`trials.evaluation.pictures`). To make it smaller without blurring, tiles are picked from the whole
sheet, evenly by row and column: where each class has its row, many classes stay in view. What is
no sheet of tiles (a scatter of points) is scaled as it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from sweeper.home import SweepFolder
from sweeper.trial import Trial

GAP = 2
_SMALLEST_TILE = 16

TILE = 64
"""Side of a tile in pixels: every power of two from 8 to 256 comes to it by whole factors."""
BORDER = 4
"""Between two tiles, in pixels. Sheets are drawn for display at half size, sharp on any screen."""


class Paper(NamedTuple):
    """What pictures are laid out on, and the colours of the words beside them."""

    colour: str
    ink: str
    muted: str


LIGHT = Paper("#ffffff", "#1f2328", "#656d76")
DARK = Paper("#1d2126", "#e4e8ed", "#9da7b3")
"""The panel of the page in dark mode, as `page.css` has it."""


def samples_of(folder: SweepFolder, trial: Trial) -> dict[int, Path]:
    """Sample grids of a trial by step, in order; empty where it has left none."""
    place = folder.trial(trial.number)
    files = {
        evaluation.step: place / evaluation.samples
        for evaluation in trial.evaluations
        if evaluation.samples
    }
    return {step: path for step, path in files.items() if path.is_file()}


def open_grid(path: Path) -> Image.Image | None:
    """The picture in RGB; None for a file that is no picture, or is gone by now."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def thumbnail(picture: Image.Image, rows: int, columns: int, paper: Paper = LIGHT) -> Image.Image:
    """At most `rows` × `columns` tiles of a grid; a picture without tiles fills the same square."""
    tiles = split(picture)
    if tiles is None:
        side = min(rows, columns) * (TILE + BORDER) + BORDER
        return picture.resize((side, side), Image.Resampling.LANCZOS)
    rows, columns = min(rows, tiles.shape[0]), min(columns, tiles.shape[1])
    chosen = tiles[_evenly(tiles.shape[0], rows)][:, _evenly(tiles.shape[1], columns)]
    width, height = (n * (TILE + BORDER) + BORDER for n in (columns, rows))
    sheet = Image.new("RGB", (width, height), paper.colour)
    for row in range(rows):
        for column in range(columns):
            corner = (BORDER + column * (TILE + BORDER), BORDER + row * (TILE + BORDER))
            sheet.paste(_sized(Image.fromarray(chosen[row, column])), corner)
    return sheet


def split(picture: Image.Image) -> npt.NDArray[np.uint8] | None:
    """Tiles (rows, columns, side, side, 3) of a sheet; None where the picture is none."""
    pixels = np.asarray(picture)
    white_rows = (pixels == 255).all(axis=(1, 2))
    white_columns = (pixels == 255).all(axis=(0, 2))
    height, width = len(white_rows), len(white_columns)
    for period in range(_SMALLEST_TILE + GAP, min(height, width)):
        if (height - GAP) % period or (width - GAP) % period:
            continue
        if all(
            white[first::period].all() for white in (white_rows, white_columns) for first in (0, 1)
        ):
            rows, columns = (height - GAP) // period, (width - GAP) // period
            if rows == columns == 1:
                break  # a white frame around one picture
            inner = pixels[GAP:, GAP:].reshape(rows, period, columns, period, 3)
            side = period - GAP
            return inner.transpose(0, 2, 1, 3, 4)[:, :, :side, :side]
    return None


def _evenly(count: int, wanted: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)


def _sized(tile: Image.Image) -> Image.Image:
    if tile.width == TILE:
        return tile
    whole = TILE % tile.width == 0
    rule = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    return tile.resize((TILE, TILE), rule)


# Words on pictures ------------------------------------------------------------------------------

Font: TypeAlias = Any
"""A PIL.ImageFont.FreeTypeFont."""


@cache
def font(size: int, *, bold: bool = False) -> Font:
    """The face of the figures, which matplotlib brings along."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / name, size, layout_engine=ImageFont.Layout.BASIC)


def fitted(text: str, face: Font, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than that many pixels."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    face: Font,
    *,
    width: int,
    colour: str,
    centred: bool = False,
) -> None:
    """One line of text, its top at `at`, never wider than `width`."""
    line = fitted(text, face, width)
    left = at[0] + (width - face.getlength(line)) / 2 if centred else at[0]
    pen.text((left, at[1]), line, font=face, fill=colour, anchor="la")
