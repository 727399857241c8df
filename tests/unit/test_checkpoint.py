"""Checkpoints and saved generators that are damaged, or whose data are others by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.testing.small import small_config
from trials.errors import CheckpointError
from trials.evaluation.export import FILE, load_generator, saved_header
from trials.evaluation.final_score import final_score
from trials.state.checkpoint import load, save
from trials.trainer import Training, train

CPU = torch.device("cpu")


def saved(file: Path) -> bytes:
    weights = torch.arange(64, dtype=torch.float32)
    save(file, "f", {"weights": weights, "names": {"a": [1, 2.5, "b", None, True]}})
    return file.read_bytes()


def test_no_damage_to_a_checkpoint_escapes_or_goes_unseen(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    whole = saved(file)
    wanted = load(file, "f")
    assert wanted is not None
    seen = 0
    for place in range(0, len(whole), 5):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = load(file, "f")
        except CheckpointError:
            seen += 1
            continue
        # Padding and time stamps may change; what is taken for whole must be whole.
        assert found is not None
        assert torch.equal(found["weights"], wanted["weights"])
        assert found["names"] == wanted["names"]
    assert seen > 100


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x80\x02cos\nsystem\n.", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged .*delete it, and .* starts anew") as found:
        load(file, "f")
    assert "weights_only" not in str(found.value)


@pytest.mark.parametrize("content", [[1], {"format": 2}, {"format": 2, "fingerprint": "f"}, 3])
def test_an_archive_that_is_no_checkpoint_is_refused(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save(content, file)
    with pytest.raises(CheckpointError, match=r"not a checkpoint of format .*delete it"):
        load(file, "f")


def test_a_training_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    file = tmp_path / "faces.npz"

    def write(seed: int) -> None:
        draw = np.random.default_rng(seed)
        np.savez(file, images=draw.integers(0, 256, (40, 8, 8), dtype=np.uint8))

    write(0)
    config = small_config(
        data={"name": "npz", "path": str(file), "labels_key": None},
        evaluation={"extractor": {"name": "identity"}, "final_samples": 16},
    )
    whole = Training(config, tmp_path / "run").advance().protocol["data_hash"]
    write(1)
    with pytest.raises(CheckpointError, match=r"the data are others than .*train from the start"):
        Training(config, tmp_path / "run").restore()
    with pytest.raises(CheckpointError, match=r"the data are others than those .*trained on"):
        final_score(tmp_path / "run")
    write(0)
    assert final_score(tmp_path / "run").protocol["data_hash"] == whole
    assert Training(config, tmp_path / "run").restore()


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-10], lambda whole: b"", lambda whole: b"x" * 99]
)
def test_a_damaged_generator_is_refused(damage: Any, tmp_path: Path) -> None:
    train(small_config(steps=1), folder=tmp_path)
    file = tmp_path / FILE
    file.write_bytes(damage(file.read_bytes()))
    for read in (saved_header, load_generator):
        with pytest.raises(CheckpointError, match=r"generator.safetensors: .*is damaged"):
            read(tmp_path)


def test_weights_from_elsewhere_are_no_saved_generator(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(CheckpointError, match="not a generator that a trial saved"):
        load_generator(tmp_path)
