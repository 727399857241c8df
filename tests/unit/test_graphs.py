"""Steps that are captured and repeated train to the same bits, on a stand-in for CUDA graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from sweeper.testing.small import SMALL, comparable, differ, tensors_of
from sweeper.testing.tape import TapeRecorder, on_tape
from trials.config import load_config
from trials.data import open_data
from trials.engine import graphs, loop
from trials.engine.composed_game import ComposedGame
from trials.engine.graphs import Eager, Graphed
from trials.engine.loop import Loop
from trials.part import temporary_parts
from trials.presets import merge
from trials.trainer import Training, train
from trials.trick import Trick

STEPS = 8
LATER = {"start": 0.3, "warm_up": False, "buffers": "copy"}
OTHERS = {"generator": {"name": "sgd", "momentum": 0.5}, "discriminator": {"name": "rmsprop"}}
FADING = {"r1": {"decay": "cosine"}, "instance_noise": {"until": 0.5}}
R3GAN = {"family": "r3gan", "generator": {"width": 8}, "discriminator": {"width": 8}}
BIGGAN = {"family": "biggan", "generator": {"norm": "virtual_batch"}}
IMAGINED = {"unrolled": {"steps": 2}, "lecam": True}
LONG = {"steps": STEPS, "evaluation": {"every": STEPS}}
PROBE_EVERY = 2
"""Instead of ten, so that those steps are repeated soon."""

FALLING = {
    "generator": {"decay": "linear"},
    "discriminator": {"name": "adamw", "decay": "cosine", "decay_to": 0.1},
}


@pytest.fixture(autouse=True)
def _looked_at_often() -> Iterator[None]:
    with mock.patch.object(loop, "PROBE_EVERY", PROBE_EVERY):
        yield


def on(change: dict[str, Any], *, graphs: bool = True) -> dict[str, Any]:
    return merge(merge(SMALL, LONG), {"graphs": graphs, **change})


def run(
    mapping: dict[str, Any],
    tell: Callable[[str], object] = print,
    recorder: type[TapeRecorder] = TapeRecorder,
) -> Loop:
    """A training after all of its steps, on tape where it has graphs."""
    config = load_config(mapping)
    game = ComposedGame(config, config.build_tricks(), open_data(config.data), torch.device("cpu"))
    with on_tape(recorder):
        played = Loop(config, game, tell)
        played.run_to(config.steps)
    return played


def graphs_of(loop: Loop) -> int:
    assert isinstance(loop.stepper, Graphed)
    return loop.stepper.graphs


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, 4, id="default"),
        pytest.param({"preset": "sngan"}, 4, id="sngan"),
        pytest.param({"preset": "wgan_gp"}, 4, id="wgan_gp"),
        pytest.param({"networks": R3GAN}, 4, id="r3gan"),
        pytest.param({"networks": BIGGAN, "conditioning": "projection"}, 4, id="biggan"),
        pytest.param({"tricks": {"ema": LATER}, "steps": 14}, 5, id="ema_later"),
        pytest.param(
            {"tricks": {"r1": {"every": 4}}, "critic_steps": 2, "accumulate": 2}, 5, id="lazy_r1"
        ),
        pytest.param({"tricks": FADING, "steps": 14}, 8, id="fading"),
        pytest.param({"optimizer": FALLING, "critic_steps": 2}, 4, id="falling_rates"),
        pytest.param({"optimizer": OTHERS}, 4, id="other_optimisers"),
        pytest.param({"precision": {"dtype": "float16"}, "tricks": {"ema": True}}, 4, id="float16"),
        pytest.param({"tricks": IMAGINED, "loss": "began", "optimizer": FALLING}, 4, id="imagined"),
    ],
)
def test_graphs_train_to_the_bits_that_are_written(change: dict[str, Any], expected: int) -> None:
    written, repeated = run(on(change, graphs=False)), run(on(change))
    assert not differ(tensors_of(written), tensors_of(repeated))
    assert graphs_of(repeated) == expected
    metrics = written.probe.take()
    assert metrics == repeated.probe.take()
    assert any(name.startswith("gradient_norm/discriminator/") for name in metrics)


def trained(folder: Path, change: dict[str, Any]) -> Training:
    """A training in `folder`, gone on with where it has been left."""
    training = Training(load_config(on(change)), folder)
    training.restore()
    return training


RESUMED = {
    "tricks": {"ema": True, "r1": {"every": 2}, "dropout": True},
    "optimizer": FALLING,
    "evaluation": {**SMALL["evaluation"], "every": 6, "batch_statistics": "standing"},
    "conditioning": "projection",
    "steps": 12,
}


@pytest.mark.parametrize("first", [True, False])
def test_a_checkpoint_taken_under_one_goes_on_under_the_other(first: bool, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", {**RESUMED, "graphs": False})
    whole.advance(), whole.advance()
    with on_tape():
        began = trained(tmp_path / "parts", {**RESUMED, "graphs": first})
        began.advance()
        began.run_to(8)
        began.save()
        began.run_to(11)
        assert began.restore(), "moments lie elsewhere from here on"
        began.run_to(9)
        began.save()
        resumed = trained(tmp_path / "parts", {**RESUMED, "graphs": not first})
    assert resumed.step == 9
    resumed.advance()
    assert not differ(tensors_of(whole), tensors_of(resumed))
    assert [comparable(one.metrics) for one in resumed.history] == [
        comparable(one.metrics) for one in whole.history
    ]


See = Callable[[Any, Tensor], Tensor]


def reads_a_number(game: Any, images: Tensor) -> Tensor:
    return images * (1 + game.step)


def is_given_a_number(game: Any, images: Tensor) -> Tensor:
    return images * game.host.number(lambda: 1 + game.step)


def decides(game: Any, images: Tensor) -> Tensor:
    return -images if game.step % 4 < 2 else images


def lets_the_host_decide(game: Any, images: Tensor) -> Tensor:
    return -images if game.host.choice(lambda: game.step % 4 < 2) else images


def lets_the_host_decide_anew_each_time(game: Any, images: Tensor) -> Tensor:
    return images * (1 + game.host.choice(lambda: game.step))


@pytest.mark.parametrize(
    ("see", "same"),
    [
        (reads_a_number, False),
        (is_given_a_number, True),
        (decides, False),
        (lets_the_host_decide, True),
        (lets_the_host_decide_anew_each_time, True),
    ],
)
def test_what_the_host_works_out_goes_on_only_where_it_is_said(see: See, same: bool) -> None:
    with temporary_parts():

        class Odd(Trick):
            key = "test_only_odd"
            group = "judgement"
            summary = "does something to what the discriminator sees"
            formula = "none"
            paper = "none"

            def see(self, game: Any, images: Tensor, real: bool) -> Tensor:
                return see(game, images)

        change = {"tricks": {Odd.key: {}}}
        written, repeated = run(on(change, graphs=False)), run(on(change))
        assert differ(tensors_of(written), tensors_of(repeated)) != same


class Refused(TapeRecorder):
    """Refuses the second graph at its end, when the host has played the step and a GPU would have
    done nothing of it yet."""

    def __init__(self, game: ComposedGame) -> None:
        super().__init__(game)
        self._game = game
        self._captured = 0

    def capture(self, take: Callable[[], None]) -> Callable[[], None]:
        self._captured += 1
        state, streams = self._game.state(), self._game.streams.state()
        memory = [leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor)]
        before = [leaf.clone() for leaf in memory]
        replay = super().capture(take)
        if self._captured == 1:
            return replay
        for leaf, value in zip(memory, before, strict=True):
            leaf.copy_(value)
        self._game.streams.load_state(streams)
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA tells more")


def test_where_a_capture_fails_the_training_goes_on_as_written_and_says_why() -> None:
    change, told = {"tricks": {"ema": True}, "optimizer": FALLING}, list[str]()
    written = run(on(change, graphs=False))
    repeated = run(on(change), told.append, Refused)
    assert not differ(tensors_of(written), tensors_of(repeated))
    assert repr(written.game.hooks.state()) == repr(repeated.game.hooks.state())
    assert told == [
        "graphs: from step 5 on the GPU repeats no step by itself, because the generator's could"
        " not be captured (operation not permitted when stream is capturing)"
    ]


class RefusedLate(TapeRecorder):
    """Captures nothing: each capture is refused when the optimiser is about to take its step, by
    when the host has gone through most of it; the GPU does nothing of that."""

    def __init__(self, game: ComposedGame) -> None:
        super().__init__(game)
        self._game = game

    def capture(self, take: Callable[[], None]) -> Callable[[], None]:
        memory = [leaf for leaf in tree_leaves(self._game.state()) if isinstance(leaf, Tensor)]
        before = [leaf.clone() for leaf in memory]
        streams = self._game.streams.state()

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("operation not permitted when stream is capturing")

        try:
            with contextlib.ExitStack() as patches:
                for optimizer in self._game.optimizers.values():
                    patches.enter_context(mock.patch.object(optimizer, "step", refuse))
                return super().capture(take)
        finally:
            for leaf, value in zip(memory, before, strict=True):
                leaf.copy_(value)
            places = {leaf.data_ptr() for leaf in memory}
            for leaf in tree_leaves(self._game.hooks.state()):
                if isinstance(leaf, Tensor) and leaf.data_ptr() not in places:
                    leaf.fill_(torch.nan)  # memory that nothing was ever written to
            self._game.streams.load_state(streams)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"tricks": {"lecam": True, "ema": True}}, id="memories"),
        pytest.param({"precision": {"dtype": "float16"}}, id="float16"),
    ],
)
def test_what_the_host_did_of_a_step_whose_capture_failed_is_undone(change: dict[str, Any]) -> None:
    told: list[str] = []
    written = run(on(change, graphs=False))
    repeated = run(on(change), told.append, RefusedLate)
    assert not differ(tensors_of(written), tensors_of(repeated))
    assert repr(written.game.hooks.state()) == repr(repeated.game.hooks.state())
    assert len(told) == 1


def test_a_part_that_cannot_be_captured_is_told_with_its_reason_once(tmp_path: Path) -> None:
    change = {
        "tricks": {"top_k": True},
        "optimizer": {"generator": {"name": "rmsprop", "decay": "linear"}},
        "evaluation": {**SMALL["evaluation"], "every": 1},
    }
    told: list[str] = []
    with on_tape():
        train(load_config(on(change)), folder=tmp_path, tell=told.append, until=2)
    assert told == [
        "graphs: the GPU repeats no step by itself, because of top_k (k falls, and with it the"
        " shape of what is learnt from), the generator's rmsprop (the host hands it a rate that"
        " falls)"
    ]


def test_an_optimiser_that_reads_scales_on_the_host_is_told() -> None:
    told: list[str] = []
    change = {"precision": {"dtype": "float16"}, "optimizer": {"discriminator": {"name": "sgd"}}}
    run(on({**change, "steps": 1}), told.append)
    (sentence,) = told
    assert sentence.endswith("the discriminator's sgd (the host looks whether float16 overflowed)")


def test_more_than_so_many_graphs_are_not_made() -> None:
    with mock.patch.object(graphs, "MOST", 3):
        written, repeated = run(on({}, graphs=False)), run(on({}))
    assert graphs_of(repeated) == 3
    assert not differ(tensors_of(written), tensors_of(repeated))


def test_imagined_steps_that_count_are_played_as_written() -> None:
    told: list[str] = []
    change = {"tricks": {**IMAGINED, "r1": {"every": 3}}}
    written, repeated = run(on(change, graphs=False)), run(on(change), told.append)
    assert not differ(tensors_of(written), tensors_of(repeated))
    assert told == [
        "graphs: the GPU does not repeat the generator's steps: what they imagine depends on what"
        " they count"
    ]
    assert graphs_of(repeated) == 1  # of the discriminator


def test_on_a_cpu_steps_are_played_as_written_and_nothing_is_said(tmp_path: Path) -> None:
    training = Training(load_config(on({"tricks": {"top_k": True}})), tmp_path)
    assert type(training.loop.stepper) is Eager
    assert training.notes == []


def test_what_repeats_the_steps_is_no_part_of_what_a_checkpoint_belongs_to() -> None:
    plain, repeated = load_config(SMALL), load_config({**SMALL, "graphs": True})
    assert plain.fingerprint() == repeated.fingerprint()
    assert (plain.graphs, repeated.graphs) == (False, True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(
    "change", [{}, RESUMED, {"preset": "wgan_gp"}, {"optimizer": OTHERS}, {"compile": True}]
)
def test_a_gpu_repeats_steps_to_the_numbers_that_are_written(
    change: dict[str, Any], tmp_path: Path
) -> None:
    weights = []
    for name, given in {"written": False, "repeated": True}.items():
        config = load_config({**on(change, graphs=given), "device": "cuda", "steps": 40})
        training = Training(config, tmp_path / name)
        training.run_to(20)
        training.evaluate()
        training.run_to(40)
        assert training.notes == []
        weights.append(training.game.state())
    assert graphs_of(training.loop) >= 4
    for one, other in zip(*map(tree_leaves, weights), strict=True):
        if isinstance(one, Tensor) and one.is_floating_point():
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
