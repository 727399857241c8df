"""Decoding and resizing pictures: what is kept, what is skipped, what is refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.images import Corrupt, Decoded, Encoded, decode, decode_all
from trials.data.intake import Tally
from trials.data.resize import fit, fit_arrays
from trials.errors import DataError


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def pixels_of(data: bytes, size: int, channels: int) -> np.ndarray:
    found = decode(data, size, channels, "it")
    assert isinstance(found, Decoded), found
    return found.pixels


def giant_png(side: int) -> bytes:
    """A few bytes that claim side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_a_wide_picture_is_cropped_in_its_middle_and_shrunk_without_aliasing() -> None:
    pixels = np.zeros((64, 128), np.uint8)
    pixels[:, 32:96] = np.indices((64, 64)).sum(0) % 2 * 255  # a fine chessboard, grey from afar
    small = np.asarray(fit(Image.fromarray(pixels), 8))
    assert small.shape == (8, 8)
    assert np.abs(small.astype(int) - 127).max() <= 12

    wanted = Image.fromarray(pixels[:, 32:96]).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(small, np.asarray(wanted))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    pixels = noise(16, 16, 3)
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        found = pixels_of(encoded(Image.fromarray(pixels), kind), 16, 3)
        assert np.array_equal(found, np.moveaxis(pixels, -1, 0))


def test_arrays_are_resized_by_the_same_rule_as_pictures() -> None:
    images = noise(3, 3, 20, 28)
    wanted = [
        pixels_of(encoded(Image.fromarray(np.moveaxis(image, 0, -1))), 8, 1) for image in images
    ]
    assert np.array_equal(fit_arrays(images, 8, channels=1), np.stack(wanted))
    grey = noise(2, 1, 8, 8)
    assert np.array_equal(fit_arrays(grey, 8, channels=3), np.repeat(grey, 3, axis=1))


def test_exif_orientation_palettes_transparency_and_sixteen_bits_are_understood() -> None:
    pixels = noise(8, 8, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    turned = pixels_of(encoded(Image.fromarray(pixels), exif=exif), 8, 3)
    assert np.array_equal(turned, np.moveaxis(np.rot90(pixels, -1), -1, 0))

    palette = Image.fromarray(pixels).quantize(16)
    found = pixels_of(encoded(palette), 8, 3)
    assert np.array_equal(found, np.moveaxis(np.asarray(palette.convert("RGB")), -1, 0))

    see_through = Image.fromarray(np.dstack([pixels, np.zeros((8, 8), np.uint8)]))
    assert np.array_equal(pixels_of(encoded(see_through), 8, 3), np.moveaxis(pixels, -1, 0))

    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = pixels_of(encoded(Image.fromarray(deep)), 8, 1)
    assert np.array_equal(found, (deep >> 8).astype(np.uint8)[None])
    plain = b"P5 8 8 65535\n" + deep.astype(">u2").tobytes()
    assert np.array_equal(pixels_of(plain, 8, 1), (deep >> 8).astype(np.uint8)[None])


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("exif", [b"Exif\0\0no header", b"Exif\0\0MM\0*"])
def test_a_picture_whose_exif_is_damaged_is_taken_as_it_lies(form: str, exif: bytes) -> None:
    picture = Image.fromarray(noise(8, 8, 3))
    found = pixels_of(encoded(picture, form, exif=exif), 8, 3)
    assert np.array_equal(found, pixels_of(encoded(picture, form), 8, 3))
    whole = encoded(picture, form, exif=exif)
    assert isinstance(decode(whole[: len(whole) // 2], 8, 3, "it"), Corrupt)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        encoded(Image.fromarray(noise(32, 32, 3)), "JPEG")[:300],
        encoded(Image.fromarray(noise(32, 32, 3)))[:200],
        encoded(Image.fromarray(noise(32, 32, 3))).replace(b"IDAT", b"JDAT"),
        encoded(Image.fromarray(noise(8, 8).astype(np.float32)), "TIFF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
    ],
    ids=["empty", "text", "cut JPEG", "cut PNG", "no data", "floats", "a program"],
)
def test_damaged_bytes_are_named_corrupt_with_a_reason(data: bytes) -> None:
    found = decode(data, 8, 3, "it")
    assert isinstance(found, Corrupt)
    assert found.reason


def test_random_damage_never_escapes() -> None:
    draw = np.random.default_rng(1)
    whole = [encoded(Image.fromarray(noise(16, 16, 3)), kind) for kind in ("PNG", "JPEG", "GIF")]
    whole.append(encoded(Image.fromarray(noise(16, 16, 3)), "TIFF", compression="tiff_lzw"))
    items = []
    for number in range(200):
        data = bytearray(whole[number % len(whole)])
        for place in draw.integers(0, len(data), 5):
            data[place] = draw.integers(0, 256)
        items.append(Encoded(str(number), bytes(data), None))
    tally = Tally("test", len(items), 1.0)
    count = sum(len(b.images) for b in decode_all(items, tally, size=8, channels=3))
    assert count + tally.skipped == 200
    assert tally.skipped > 20


@pytest.mark.parametrize("side", [8193, 10_000, 40_000])
def test_a_decompression_bomb_is_refused_by_name_before_it_is_unpacked(side: int) -> None:
    tally = Tally("test", 10, 1.0)
    items = [Encoded("evil.png", giant_png(side), 0)]
    with pytest.raises(DataError, match=r"evil.png .*decompression bomb.*expected .*pixels"):
        list(decode_all(items, tally, size=8, channels=3))


def test_corrupt_pictures_are_skipped_with_their_labels_until_there_are_too_many() -> None:
    good = encoded(Image.fromarray(noise(8, 8, 3)))
    items = [Encoded(f"picture {n}", None if n % 10 == 3 else good, n) for n in range(600)]
    tally = Tally("the test", 600, 0.1)
    blocks = list(decode_all(items, tally, size=8, channels=3))
    labels = np.concatenate([block.labels for block in blocks if block.labels is not None])
    assert labels.tolist() == [n for n in range(600) if n % 10 != 3]
    assert sum(len(block.images) for block in blocks) == 540
    assert tally.skipped == 60

    tally = Tally("the test", 600, 0.05)
    with pytest.raises(DataError) as caught:
        list(decode_all(items, tally, size=8, channels=3))
    text = str(caught.value)
    assert "31 or more of 600 images in the test cannot be decoded" in text
    assert "the first is picture 3 (there are no bytes)" in text
    assert "expected at most a share of 0.05" in text


def test_a_name_that_would_act_on_a_terminal_is_told_in_escapes() -> None:
    tally = Tally("test", 10, 1.0)
    tally.corrupt("a\x1b[2Jb\u202ec\udcff.png", "no bytes")
    (warning,) = tally.intake().warnings()
    assert warning.endswith(r"the first: a\x1b[2Jb\u202ec\udcff.png (no bytes)")


def test_of_many_reasons_the_most_frequent_are_told() -> None:
    tally = Tally("test", 400, 1.0)
    for number in range(300):
        tally.corrupt(f"{number}.png", f"reason {number // 2}" if number < 299 else "reason 7")
    intake = tally.intake()
    assert len(intake.skipped) == 101, "whatever somebody's decoder says, memory is bounded"
    (warning,) = intake.warnings()
    assert warning.startswith("300 of 400 pictures skipped: 99 others, 3 reason 7, 2 reason 0, ")
    assert ", 192 for other reasons; the first: 0.png (reason 0)" in warning


def test_no_warning_of_pillow_reaches_the_user_and_filters_are_left_alone(tmp_path: Path) -> None:
    before = list(warnings.filters)
    palette = Image.fromarray(noise(8, 8)).convert("P")
    palette.info["transparency"] = bytes(range(256))
    data = encoded(palette, transparency=bytes(range(256)))
    tally = Tally("test", 1, 0.0)
    (block,) = decode_all([Encoded("it", data, None)], tally, size=8, channels=3)
    assert block.images.shape == (1, 3, 8, 8)
    assert block.labels is None
    assert warnings.filters == before
