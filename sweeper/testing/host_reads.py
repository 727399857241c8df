"""What a step copies to the host, or makes of numbers that the host has: what a GPU would wait for.

A GPU runs behind the host, which hands it work. Where the host wants to know a number, all that was
handed out has to be done first, and the GPU then waits for new work. `HostReads` notes where
that happens, on any device::

    with HostReads() as noted:
        training.loop.discriminator_step(probing=True)
    noted.places        # ("trials/tricks/….py:117 reads a number", …)
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS: Mapping[Callable[..., Any], str] = {
    Tensor.cpu: "copies a tensor to the host",
    Tensor.numpy: "copies a tensor to the host",
    Tensor.tolist: "copies a tensor to the host",
    torch.tensor: "makes a tensor of what the host has",
    Tensor.nonzero: "asks how many there are",
    torch.nonzero: "asks how many there are",
    torch.masked_select: "asks how many there are",
}


class HostReads:
    """Inside, notes where tensors are read on the host, or made of what the host has."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self._modes = (_Calls(self._note), _Scalars(self._note))
        self._from_numpy = torch.from_numpy

    def _note(self, what: str) -> None:
        frames = traceback.extract_stack()
        ours = [frame for frame in frames if _is_a_part_of_ours(frame.filename)]
        place = ours[-1] if ours else frames[-1]
        self.places.append(f"{place.filename}:{place.lineno} {what}")

    def __enter__(self) -> HostReads:
        for mode in self._modes:
            mode.__enter__()  # type: ignore[no-untyped-call]
        # The one way from the host that no mode is told of.
        torch.from_numpy = self._noted_from_numpy
        return self

    def _noted_from_numpy(self, ndarray: Any) -> Tensor:
        self._note(READS[torch.tensor])
        return self._from_numpy(ndarray)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        torch.from_numpy = self._from_numpy
        for mode in reversed(self._modes):
            mode.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]


def _is_a_part_of_ours(file: str) -> bool:
    """Whether a frame is a reader's to change: neither torch's nor this file's."""
    return file != __file__ and "/torch/" not in file


class _Calls(TorchFunctionMode):
    """Notes calls by name: on a CPU they copy nothing, so that no operation would show them."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in READS:
            self._note(READS[func])
        elif func is torch.as_tensor and not isinstance(args[0], Tensor):
            self._note(READS[torch.tensor])
        return func(*args, **(kwargs or {}))


class _Scalars(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every scalar that is read: by `item`, `float` or `bool`, or inside torch."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._note = note

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self._note("reads a number")
        return func(*args, **(kwargs or {}))
