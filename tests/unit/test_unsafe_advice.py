"""Files that only an unsafe loader would read are refused, without the advice to use one."""

from __future__ import annotations

import io
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from trials.data.opening import check_data
from trials.data.sources.npz import Npz
from trials.errors import ExtractorError, reason_of
from trials.metrics.extractors.inception import load_network

ADVICE = ("allow_pickle", "weights_only", "max_header_size", "fully trust")


def long_header() -> bytes:
    """An array whose header is longer than NumPy reads unless it is told to trust the file."""
    content = io.BytesIO()
    np.save(content, np.zeros((2, 8, 8), dtype=np.uint8))
    header = content.getvalue()
    padding = 20_000
    length = int.from_bytes(header[8:10], "little")
    text = header[10 : 10 + length].rstrip(b"\n") + b" " * padding + b"\n"
    return header[:8] + len(text).to_bytes(2, "little") + text + header[10 + length :]


@pytest.mark.parametrize("case", ["long header", "objects as labels"])
def test_an_archive_that_asks_for_trust_is_refused_in_our_own_words(
    case: str, tmp_path: Path
) -> None:
    file = tmp_path / "pictures.npz"
    if case == "long header":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images.npy", long_header())
        labels = None
    else:
        objects = np.array([{}, {}], dtype=object)
        np.savez(file, images=np.zeros((2, 8, 8), dtype=np.uint8), labels=objects)
        labels = "labels"
    said = "\n".join(map(str, check_data(Npz.Config(path=file, labels_key=labels))))
    assert str(file) in said
    assert ("nothing else is ever loaded" if case == "long header" else "object") in said
    assert not any(word in said for word in ADVICE)


class Anything:
    """No tensor."""


def test_weights_that_hold_objects_are_refused_in_our_own_words(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"layer": Anything()}, content)
    with pytest.raises(ExtractorError) as refused:
        load_network(types.ModuleType("none"), tmp_path / "weights.pth", content.getvalue())
    assert "nothing else is ever loaded" in str(refused.value)
    assert not any(word in str(refused.value) for word in ADVICE)


def test_other_words_are_passed_on_as_one_line() -> None:
    assert reason_of(ValueError("bad\n  magic")) == "bad magic"
    assert reason_of(ValueError()) == "ValueError"
