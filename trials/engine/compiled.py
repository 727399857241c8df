"""Networks that are compiled: their operations fused into fewer and larger kernels (torch.compile).

    a player's network is called
        to be learnt from               compiled: one function of its buffers and what it is given
        to be differentiated twice      as it is written: a compiled function refuses it
                                        (pytorch#91469); a part says so by `Game.exact`
        to be evaluated, drawn, saved   as it is written: what is measured does not depend on this

The modules stay what they are, and so do a checkpoint's names. Where nothing can be compiled, as
without a C++ compiler or Triton, networks compute as they are written, and the run says why.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from trials.engine.composed_game import ComposedGame
from trials.engine.table import AsWritten
from trials.errors import TrialError, in_one_line
from trials.fetching import fetched_folder
from trials.game import Trial

MOST = 64
"""Variants that torch compiles of one function before it lets it be: players, with and without
gradients, and batches of another size share one. Its own limit of 8 is near."""

HOW: dict[str, Any] = {
    "backend": "inductor",
    "options": {"fallback_random": True},  # dropout draws the numbers that it draws as written
}
"""How networks are compiled. Each shape of what they are given has kernels of its own, so that a
training that goes on from a checkpoint computes with the same ones."""

REFUSAL = "does not currently support double backward"


def calls_of(trial: Trial, game: ComposedGame, tell: Callable[[str], object]) -> AsWritten:
    """How the networks of a training compute: as the trial has it, as far as its parts allow."""
    if not trial.compile:
        return AsWritten()
    reasons = [
        f"{trick.key} ({trick.not_compilable})"
        for trick in game.hooks.tricks
        if trick.not_compilable
    ]
    if reasons:
        tell(f"compile: networks compute as they are written, because of {', '.join(reasons)}")
        return AsWritten()
    return Compiled(game, tell)


class Compiled(AsWritten):
    """Both players' networks are compiled at their first call, and again for another shape."""

    def __init__(self, game: ComposedGame, tell: Callable[[str], object]) -> None:
        _make_ready()
        self._game, self._tell = game, tell
        self._calls = {player: compiled(player) for player in (game.generator, game.discriminator)}
        self._written = False

    def of(self, network: nn.Module) -> Callable[..., Any]:
        call = None if self._written else self._calls.get(network)
        return network if call is None else partial(self._tried, network, call)

    @contextmanager
    def as_written(self) -> Iterator[None]:
        before, self._written = self._written, True
        try:
            yield
        finally:
            self._written = before

    @contextmanager
    def descending(self) -> Iterator[None]:
        from torch._dynamo.exc import TorchDynamoException

        try:
            yield
        except RuntimeError as error:
            if isinstance(error, TorchDynamoException):
                why = f"a network's gradient cannot be compiled ({_reason(error)})"
            elif REFUSAL in str(error):
                why = "a part differentiates a network twice, outside `game.exact`"
            else:
                raise
            raise TrialError(f"compile: {why}; `compile: off` goes on from here") from error

    def _tried(self, network: nn.Module, call: Callable[..., Any], *given: Any) -> Any:
        from torch._dynamo.exc import TorchDynamoException

        try:
            return call(*given)
        except TorchDynamoException as error:
            self._calls = {}
            self._tell(
                f"compile: from step {self._game.step + 1} on networks compute as they are written,"
                f" because {_reason(error)}"
            )
            return network(*given)


def compiled(network: nn.Module) -> Callable[..., Any]:
    """What calls `network`, compiled; a call that fails has not changed its buffers.

    It computes on copies of them, which nothing changes afterwards: the gradient of one call may
    need the vectors of `spectral_norm` that the next one, before it, writes (pytorch#197887).
    """
    function = torch.compile(partial(_called, network), dynamic=False, **HOW)

    def call(*given: Any) -> Any:
        buffers = dict(network.named_buffers())
        fresh = {name: buffer.clone() for name, buffer in buffers.items()}
        result = function(fresh, given)
        if buffers:
            with torch.no_grad():
                torch._foreach_copy_(list(buffers.values()), list(fresh.values()))
        return result

    return call


def _called(network: nn.Module, buffers: dict[str, torch.Tensor], given: tuple[Any, ...]) -> Any:
    return torch.func.functional_call(network, buffers, given)


def _make_ready() -> None:
    """Let torch's compiler keep to this trial's threads, and its cache to the user's own folder: it
    runs what it finds there, and of itself takes one in /tmp that somebody else may have made."""
    from torch._inductor import config as inductor

    if "TORCHINDUCTOR_COMPILE_THREADS" not in os.environ:
        # Not by that variable: torch has read it long ago, as it imported its optimisers.
        inductor.compile_threads = torch.get_num_threads()
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        own = fetched_folder() / "compiled"
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o700)  # a worker for a group's home makes folders that the group may write in
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(own)
    torch.compiler.reset()  # what an earlier training of this process compiled counts to the limit
    torch._dynamo.config.recompile_limit = max(MOST, torch._dynamo.config.recompile_limit)


def _reason(error: RuntimeError) -> str:
    """Why torch could not compile: what is missing, in words, else what its backend said first."""
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler, TritonMissing

    cause = getattr(error, "inner_exception", error)
    if isinstance(cause, InvalidCxxCompiler):
        return "there is no C++ compiler (g++, or what CXX names) to compile them with"
    if isinstance(cause, TritonMissing):
        return "there is no Triton that fits this PyTorch, to compile them with"
    told = in_one_line(cause)
    if isinstance(cause, CppCompileError) and (said := re.search(r"error: .*", str(cause))):
        told = f"the C++ compiler says {said.group()}"  # of Python.h, perhaps: no header, no code
    return f"torch cannot compile them: {told}"
