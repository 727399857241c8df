"""A folder of pictures as people have them: mixed, and not all of them whole."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("jpeg", "png", "webp", "grey", "rgba", "cmyk", "rotated")


def take_photos(folder: Path, count: int = 300) -> None:
    """Fill `folder` with `count` pictures of every kind, of which one is cut off and one is a link
    that leads nowhere; beside them lies what a Mac leaves."""
    chance = np.random.default_rng(0)
    (folder / "2024").mkdir(parents=True)
    for number in range(count - 2):
        kind = KINDS[number % len(KINDS)]
        place = folder / "2024" if number % 3 else folder
        suffix = {"jpeg": "JPG", "webp": "webp", "cmyk": "jpg", "rotated": "jpeg"}.get(kind, "png")
        _stored(_picture(chance), kind, place / f"IMG {number:04d}.{suffix}")
    whole = io.BytesIO()
    _picture(chance).save(whole, "JPEG")
    (folder / "cut off.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "elsewhere.jpg").symlink_to("/nowhere/elsewhere.jpg")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def _picture(chance: np.random.Generator) -> Image.Image:
    """A sun over a sea: sky, sea, and where the sun stands differ."""
    width, height = (int(side) for side in chance.integers(40, 120, 2))
    colours = [tuple(int(c) for c in chance.integers(0, 256, 3)) for _ in range(3)]
    picture = Image.new("RGB", (width, height), colours[0])
    pen = ImageDraw.Draw(picture)
    horizon = int(height * chance.uniform(0.4, 0.8))
    pen.rectangle((0, horizon, width, height), fill=colours[1])
    angle, radius = chance.uniform(0, math.pi), chance.uniform(4, 12)
    x, y = width / 2 + width / 3 * math.cos(angle), horizon - horizon / 2 * math.sin(angle)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[2])
    return picture


def _stored(picture: Image.Image, kind: str, file: Path) -> None:
    if kind == "grey":
        picture.convert("L").save(file)
    elif kind == "rgba":
        picture.putalpha(128)
        picture.save(file)
    elif kind == "cmyk":
        picture.convert("CMYK").save(file)
    elif kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held upright
        picture.save(file, exif=exif)
    else:
        picture.save(file)
