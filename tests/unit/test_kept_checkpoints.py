"""Taking over another training's checkpoint, killed at each of its writes: the next is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.scheduling.working import kept_checkpoints
from sweeper.scheduling.working.kept_checkpoints import Began
from sweeper.scheduling.working.messages import Work
from sweeper.testing.small import small_config
from trials import trainer
from trials.errors import StaleCheckpointError
from trials.evaluation.export import saved_header
from trials.state.checkpoint import previous
from trials.trainer import Training


class Killed(BaseException):
    """What no handler catches."""


def _killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("write", ["take_over_generator", "save", "atomic_write"])
@pytest.mark.parametrize("before", [True, False])
def test_a_take_over_killed_at_any_of_its_writes_is_made_again(
    write: str, before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    donor, folder = tmp_path / "donor", tmp_path / "taker"
    rates = {"generator": {"lr": 1e-6}, "discriminator": {"lr": 1e-6}}
    config = small_config(optimizer=rates)
    given, taker = Training(small_config(), donor), Training(config, folder)
    given.advance()
    taker.advance()
    work = Work(0, str(folder), "", {}, take_over=str(donor))

    home = {"take_over_generator": trainer, "save": Training, "atomic_write": kept_checkpoints}[
        write
    ]
    real = getattr(home, write)

    def killed(*args: object) -> None:
        if not before:
            real(*args)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(home, write, killed)
        with pytest.raises(Killed):
            kept_checkpoints.begin(Training(config, folder), folder, work)
    for _ in range(2):  # made again, and found made
        again = Training(config, folder)
        kept_checkpoints.begin(again, folder, work)
        assert [e.metrics for e in again.history] == [e.metrics for e in given.history]
        assert saved_header(folder)["fid"] == given.history[0].metrics["fid"]
        assert again.game.optimizers["generator"].param_groups[0]["lr"] == 1e-6


def test_a_take_over_whose_checkpoints_are_damaged_is_made_again(tmp_path: Path) -> None:
    donor, folder = tmp_path / "donor", tmp_path / "taker"
    given, taker = Training(small_config(), donor), Training(small_config(seed=1), folder)
    taker.advance()
    given.advance()
    work = Work(0, str(folder), "", {}, take_over=str(donor))
    began = kept_checkpoints.begin(Training(small_config(seed=1), folder), folder, work)
    assert began == Began("/".join(donor.parts[-3:]))
    # What the taker was before may not come back: it has gone on from the donor.
    assert not previous(taker.checkpoint_file).exists()
    taker.checkpoint_file.write_bytes(b"")

    again = Training(small_config(seed=1), folder)
    kept_checkpoints.begin(again, folder, work)
    assert len(again.notes) == 1
    assert [e.metrics for e in again.history] == [e.metrics for e in given.history]


@pytest.mark.parametrize("damage", ["damaged", "gone"])
@pytest.mark.parametrize("killed", [False, True])
def test_who_cannot_take_over_goes_on_from_its_own_with_its_new_settings(
    damage: str, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    donor, folder = tmp_path / "00003" / "kept" / "000500", tmp_path / "taker"
    if damage == "damaged":
        Training(small_config(), donor).advance()
        (donor / "checkpoint.pt").write_bytes(b"PK")
    taker = Training(small_config(), folder)
    taker.advance()
    rates = {"generator": {"lr": 1e-6}, "discriminator": {"lr": 1e-6}}
    config, work = small_config(optimizer=rates), Work(0, str(folder), "", {}, take_over=str(donor))
    if killed:  # when its checkpoint is gone from its place, before the new one is there
        with monkeypatch.context() as patched:
            patched.setattr(Training, "save", _killed)
            with pytest.raises(Killed):
                kept_checkpoints.begin(Training(config, folder), folder, work)
        assert not taker.checkpoint_file.exists()
    again = Training(config, folder)
    assert kept_checkpoints.begin(again, folder, work) == Began(own=True)
    assert [e.metrics for e in again.history] == [e.metrics for e in taker.history]
    assert again.game.optimizers["generator"].param_groups[0]["lr"] == 1e-6
    (told,) = again.notes
    assert "it goes on from its own, with its new settings" in told
    assert not list((folder / "kept").iterdir())
    later = Training(config, folder)
    assert kept_checkpoints.begin(later, folder, work) == Began(own=True)
    assert (later.notes, later.step) == ([], again.step)


def test_who_can_neither_take_over_nor_go_on_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "taker"
    folder.mkdir()
    work = Work(0, str(folder), "", {}, take_over=str(tmp_path / "gone"))
    with pytest.raises(StaleCheckpointError, match=r"gone/checkpoint\.pt: there is no checkpoint"):
        kept_checkpoints.begin(Training(small_config(), folder), folder, work)


def test_a_mark_that_is_no_text_is_no_mark(tmp_path: Path) -> None:
    donor, folder = tmp_path / "donor", tmp_path / "taker"
    Training(small_config(), donor).advance()
    folder.mkdir()
    (folder / kept_checkpoints.MARK).write_bytes(b"\xff\xfe")
    training = Training(small_config(), folder)
    kept_checkpoints.begin(training, folder, Work(0, str(folder), "", {}, take_over=str(donor)))
    assert training.step == 3


def test_the_checkpoint_before_the_last_is_not_kept_for_others(tmp_path: Path) -> None:
    training = Training(small_config(), tmp_path)
    training.advance()
    training.advance()
    kept_checkpoints.keep(training, tmp_path, Work(0, str(tmp_path), "", {}, keep=(3, 3)))
    (kept,) = (tmp_path / "kept").iterdir()
    assert {file.name for file in kept.iterdir()} == {"checkpoint.pt", "generator.safetensors"}
