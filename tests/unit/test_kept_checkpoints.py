"""Taking over another training's checkpoint, killed at each of its writes: the next is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.scheduling import kept_checkpoints
from sweeper.scheduling.messages import Work
from sweeper.testing.small import small_config
from trials import trainer
from trials.evaluation.export import saved_header
from trials.state.checkpoint import previous
from trials.trainer import Training


class Killed(BaseException):
    """What no handler catches."""


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
    kept_checkpoints.begin(Training(small_config(seed=1), folder), folder, work)
    # What the taker was before may not come back: it has gone on from the donor.
    assert not previous(taker.checkpoint_file).exists()
    taker.checkpoint_file.write_bytes(b"")

    again = Training(small_config(seed=1), folder)
    kept_checkpoints.begin(again, folder, work)
    assert len(again.notes) == 1
    assert [e.metrics for e in again.history] == [e.metrics for e in given.history]


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
