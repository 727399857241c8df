"""Checkpoints and saved generators that are damaged, or whose data are others by now."""

from __future__ import annotations

import json
import pickle
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweeper.causes import cause
from sweeper.scheduling.working.failures import explain
from sweeper.testing.small import comparable, small_config
from trials.errors import CheckpointError
from trials.evaluation.export import load_generator, saved_header
from trials.evaluation.final_score import final_score
from trials.state.checkpoint import DamagedError, load, previous, recover, save
from trials.state.names import GENERATOR
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
def test_a_file_that_is_no_checkpoint_is_damage(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content)
    with pytest.raises(DamagedError, match="the checkpoint is damaged") as found:
        load(file, "f")
    assert "weights_only" not in str(found.value)


@pytest.mark.parametrize("content", [[1], {"format": 2}, {"format": 2, "fingerprint": "f"}, 3])
def test_an_archive_that_is_no_checkpoint_is_damage(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save(content, file)
    with pytest.raises(DamagedError, match="this is no checkpoint"):
        load(file, "f")


def test_a_checkpoint_of_another_format_stays_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save({"format": 99, "fingerprint": "f", "state": {}}, file)
    with pytest.raises(CheckpointError, match=r"not a checkpoint of format 2; delete it"):
        recover(file, "f")
    assert file.exists()


def test_a_checkpoint_for_which_there_is_no_room_is_the_system_s_error(tmp_path: Path) -> None:
    """torch's own says nothing of a disk."""
    file = tmp_path / "checkpoint.pt"
    whole = saved(file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # bytes of a file
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            save(file, "f", {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.filename == str(file)
    assert file.read_bytes() == whole
    assert {one.name for one in tmp_path.iterdir()} == {file.name, previous(file).name}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def flip_bits(file: Path) -> None:
    """Of so many bytes that not all of them are padding between two records, which may change."""
    whole = bytearray(file.read_bytes())
    middle = len(whole) // 2
    for place in range(middle, middle + 256):
        whole[place] ^= 1
    file.write_bytes(whole)


def pickle_there(file: Path) -> None:
    file.write_bytes(pickle.dumps({"format": 2, "fingerprint": "f", "state": {}}))


def folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "of somebody").touch()


every_damage = pytest.mark.parametrize("damage", [cut, flip_bits, pickle_there, folder_there])


def undisturbed(folder: Path) -> list[dict[str, float]]:
    done = train(small_config(steps=9), folder=folder)
    return [comparable(evaluation.metrics) for evaluation in done.history]


@every_damage
@pytest.mark.parametrize("both", [False, True])
def test_a_training_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_bits(
    damage: Any, both: bool, tmp_path: Path
) -> None:
    expected = undisturbed(tmp_path / "whole")
    begun = Training(small_config(steps=9), tmp_path / "run")
    begun.advance()
    begun.advance()
    damage(begun.checkpoint_file)
    if both:
        damage(previous(begun.checkpoint_file))

    again = Training(small_config(steps=9), tmp_path / "run")
    assert again.restore() is not both
    assert again.step == (0 if both else 3)
    (note,) = again.notes
    assert ("goes back to where it began" if both else "the one before it, at step 3") in note
    assert str(begun.checkpoint_file) in note
    while not again.finished:
        again.advance()
        kept = [path for path in again.folder.glob("*checkpoint.pt") if path.is_file()]
        assert len(kept) <= 2
    assert [comparable(evaluation.metrics) for evaluation in again.history] == expected
    assert saved_header(tmp_path / "run") == saved_header(tmp_path / "whole")
    last = Training(small_config(steps=9), tmp_path / "run")
    assert last.restore()
    assert (last.step, last.notes) == (9, [])


def test_a_checkpoint_that_cannot_be_gone_on_with_does_not_blame_the_configuration(
    tmp_path: Path,
) -> None:
    training = Training(small_config(), tmp_path)
    state = {"game": {}, "history": "[]"}  # whole, and of a version that wrote other things
    save(training.checkpoint_file, training.config.fingerprint(), state)
    with pytest.raises(CheckpointError, match="does not fit this configuration") as raised:
        training.restore()
    assert not cause(explain(raised.value, tmp_path).cause).blames


def test_train_tells_of_a_damaged_checkpoint(tmp_path: Path) -> None:
    train(small_config(), folder=tmp_path, report=lambda evaluation: False)
    cut(tmp_path / "checkpoint.pt")
    told: list[str] = []
    assert train(small_config(), folder=tmp_path, tell=told.append).state == "completed"
    assert len(told) == 1
    assert "the training goes back to where it began" in told[0]


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


@every_damage
def test_a_damaged_generator_is_refused(damage: Any, tmp_path: Path) -> None:
    train(small_config(steps=1), folder=tmp_path)
    damage(tmp_path / GENERATOR)
    for read in (saved_header, load_generator):
        with pytest.raises(CheckpointError, match=r"generator.safetensors: .*is damaged"):
            read(tmp_path)


def test_no_bit_of_a_saved_generator_can_change_unseen(tmp_path: Path) -> None:
    train(small_config(steps=1), folder=tmp_path)
    file = tmp_path / GENERATOR
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 60):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(CheckpointError):
            load_generator(tmp_path)


def test_a_generator_that_was_saved_without_a_checksum_is_read(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    train(small_config(steps=1), folder=tmp_path)
    file = tmp_path / GENERATOR
    with safe_open(file, framework="pt") as reader:
        header = reader.metadata()["generator"]
    save_file(load_file(file), file, metadata={"generator": header})
    assert saved_header(tmp_path) == json.loads(header)
    load_generator(tmp_path)


def test_weights_from_elsewhere_are_no_saved_generator(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / GENERATOR)
    with pytest.raises(CheckpointError, match="not a generator that a trial saved"):
        load_generator(tmp_path)
