"""Networks that are compiled train as those that are written, and say where they are not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from sweeper.testing.once import differentiated_once
from sweeper.testing.small import SMALL, comparable, differ, losses_of, tensors_of
from trials.config import load_config
from trials.data import open_data
from trials.engine import compiled
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.errors import TrialError
from trials.part import temporary_parts
from trials.presets import merge
from trials.trainer import Training
from trials.trick import Trick
from trials.tricks.spectral_norm import normalised

LONG = {"steps": 6, "evaluation": {"every": 6}}
SPECTRAL = {"tricks": {"spectral_norm": True, "ema": True}, "critic_steps": 2}
VIRTUAL = {
    "networks": {"family": "biggan", "generator": {"norm": "virtual_batch"}},
    "conditioning": "projection",
    "precision": {"dtype": "bfloat16"},
}


@pytest.fixture(autouse=True)
def _caches_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")


def by(backend: Any) -> Any:
    """Inside, networks are compiled by another backend of torch's than the one that makes code."""
    return mock.patch.object(compiled, "HOW", {"backend": backend})


def mapping(change: dict[str, Any], *, compile: bool = True) -> dict[str, Any]:
    return merge(merge(SMALL, LONG), {"compile": compile, **change})


def run(
    change: dict[str, Any],
    tell: Callable[[str], object] = print,
    *,
    compile: bool = True,
    steps: int = 3,
) -> Loop:
    """A training after some steps."""
    config = load_config(mapping(change, compile=compile))
    game = ComposedGame(config, config.build_tricks(), open_data(config.data), torch.device("cpu"))
    loop = Loop(config, game, tell)
    loop.run_to(steps)
    return loop


def trained_alike(change: dict[str, Any]) -> bool:
    """Whether compiled networks train to the bits, and the losses, of those that are written."""
    written = run(change, compile=False)
    expected = tensors_of(written), losses_of(written)
    loop = run(change)
    return not differ(expected[0], tensors_of(loop)) and expected[1] == losses_of(loop)


@pytest.mark.parametrize(("asked", "threads"), [(None, torch.get_num_threads()), ("5", 7)])
def test_the_compiler_keeps_to_the_threads_of_the_trial_unless_the_user_says_otherwise(
    asked: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config  # torch has read the variable as it was imported

    monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS")
    if asked is not None:
        monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", asked)
    with config.patch(compile_threads=7), by("eager"):
        run({}, steps=0)
        assert config.compile_threads == threads


@pytest.mark.parametrize(
    ("backend", "change"),
    [
        pytest.param("aot_eager", {}, id="default"),
        pytest.param("aot_eager", {"preset": "wgan_gp"}, id="twice", marks=pytest.mark.slow),
        pytest.param("eager", VIRTUAL, id="virtual_batch", marks=pytest.mark.slow),
    ],
)
def test_compiled_networks_train_to_the_bits_that_are_written(
    backend: str, change: dict[str, Any]
) -> None:
    with by(backend):
        assert trained_alike(change)


def test_a_gradient_is_of_the_vectors_that_its_own_call_made() -> None:
    torch.manual_seed(0)
    written = nn.Sequential(
        normalised(nn.Linear(4, 5), 1), nn.ReLU(), normalised(nn.Linear(5, 1), 1)
    )
    network = copy.deepcopy(written)
    with by("aot_eager"):
        call = compiled.compiled(network)
    real, fake = torch.randn(3, 4), torch.randn(3, 4)
    for judge in (written, call):
        loss = judge(real).sum() - judge(fake).square().sum()
        loss.backward()
    for one, other in zip(written.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for one, other in zip(written.buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def gone_on(folder: Path, compile: bool) -> Training:
    training = Training(load_config(mapping(SPECTRAL, compile=compile)), folder)
    training.restore()
    return training


def test_a_checkpoint_taken_under_one_goes_on_under_the_other(tmp_path: Path) -> None:
    whole = gone_on(tmp_path / "whole", compile=False)
    whole.advance()
    for step, compile in [(1, False), (2, True)]:
        with by("eager"):
            began = gone_on(tmp_path / "parts", compile)
            began.run_to(step)
        began.save()
    resumed = gone_on(tmp_path / "parts", compile=False)
    assert resumed.step == 2
    resumed.advance()
    assert not differ(tensors_of(whole), tensors_of(resumed))
    assert [comparable(one.metrics) for one in resumed.history] == [
        comparable(one.metrics) for one in whole.history
    ]


def test_only_what_is_learnt_from_is_compiled(tmp_path: Path) -> None:
    with differentiated_once(), mock.patch.object(compiled.Compiled, "_tried") as tried:
        tried.side_effect = lambda network, call, *given: call(*given)
        training = gone_on(tmp_path, compile=True)
        training.run_to(1)
        learnt = tried.call_count
        training.evaluate()
    assert (learnt, tried.call_count) == (3 * 2 + 2, learnt)


def test_networks_that_are_others_at_each_step_are_not_compiled_and_it_is_said() -> None:
    told: list[str] = []
    with by("eager"):
        loop = run({"tricks": {"progressive_growing": True}}, told.append, steps=1)
    assert type(loop.game.calls) is compiled.AsWritten
    assert told == [
        "compile: networks compute as they are written, because of progressive_growing (while a"
        " size fades in, the networks are others at each step)"
    ]


def without_compiler(*_: Any) -> Any:
    from torch._inductor.exc import InvalidCxxCompiler

    raise InvalidCxxCompiler


def without_triton(*_: Any) -> Any:
    from torch._inductor.exc import TritonMissing

    raise TritonMissing(None)


def without_headers(*_: Any) -> Any:
    from torch._inductor.exc import CppCompileError

    raise CppCompileError(["g++"], "/tmp/a.cpp:2:10: fatal error: Python.h: No such file\n2 | #inc")


def broken(*_: Any) -> Any:
    raise ValueError("no kernel for this\nand a traceback")


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        (without_compiler, "there is no C++ compiler (g++, or what CXX names) to compile them"),
        (without_triton, "there is no Triton that fits this PyTorch, to compile them"),
        (without_headers, "the C++ compiler says error: Python.h: No such file"),
        (broken, "torch cannot compile them: ValueError: no kernel for this"),
    ],
)
def test_where_nothing_can_be_compiled_the_training_goes_on_and_says_why_once(
    backend: Callable[..., Any], why: str
) -> None:
    told: list[str] = []
    written = run(SPECTRAL, compile=False)
    with by(backend):
        loop = run(SPECTRAL, told.append)
    assert not differ(tensors_of(written), tensors_of(loop))
    assert len(told) == 1
    assert told[0].startswith("compile: from step 1 on networks compute as they are written, be")
    assert why in told[0]


@pytest.fixture
def careless() -> Iterator[str]:
    """The key of a trick that differentiates a score twice, and does not say so."""
    with temporary_parts():

        class Careless(Trick):
            key = "test_only_careless"
            group = "penalties"
            summary = "punishes slopes"
            formula = "none"
            paper = "none"

            def discriminator_terms(self, game: Any, round: Any, terms: Any) -> Any:
                images = round.real.detach().requires_grad_(True)
                score = game.score(images, round.labels).score.sum()
                (slope,) = torch.autograd.grad(score, images, create_graph=True)
                return {**terms, self.key: slope.square().mean()}

        yield Careless.key


@pytest.mark.parametrize(
    "kind", [differentiated_once(), pytest.param(by("aot_eager"), marks=pytest.mark.slow)]
)
def test_a_second_derivative_of_a_compiled_network_is_refused_in_a_sentence(
    kind: AbstractContextManager[object], careless: str
) -> None:
    with kind, pytest.raises(TrialError) as refused:
        run({"tricks": {careless: {}}})
    assert str(refused.value) == (
        "compile: a part differentiates a network twice, outside `game.exact`; `compile: off` goes"
        " on from here"
    )


def test_a_gradient_that_cannot_be_compiled_is_told_in_a_sentence() -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, _: Tensor) -> Any:  # type: ignore[override]
            raise BackendCompilerFailed(broken, ValueError("no kernel"), None)  # type: ignore[no-untyped-call]

    def forward_only(network: nn.Module) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            result = network(*given)
            if isinstance(result, Tensor):
                return result
            return result._replace(score=Forward.apply(result.score))  # type: ignore[no-untyped-call]

        return call

    with mock.patch.object(compiled, "compiled", forward_only), pytest.raises(TrialError) as told:
        run({})
    assert "a network's gradient cannot be compiled (torch cannot compile them: Va" in str(told)


def test_whether_networks_are_compiled_is_no_part_of_what_a_checkpoint_belongs_to() -> None:
    plain, other = load_config(SMALL), load_config({**SMALL, "compile": True})
    assert plain.fingerprint() == other.fingerprint()
    assert (plain.compile, other.compile) == (False, True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler meets old things of torch's own
def test_code_that_is_made_computes_what_is_written() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        pytest.skip("needs a C++ compiler")
    told: list[str] = []
    written, loop = run(SPECTRAL, compile=False), run(SPECTRAL, told.append)
    assert told == []
    for name, tensor in tensors_of(written).items():
        torch.testing.assert_close(tensors_of(loop)[name], tensor, rtol=1e-3, atol=1e-4)
