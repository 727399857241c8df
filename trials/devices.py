"""The device that a training runs on: its memory, and what the host learns without waiting."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from trials.errors import TrialError
from trials.precision import multiply

AMPERE = (8, 0)
"""The compute capability from which on NVIDIA's GPUs compute in bfloat16."""


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first GPU if there is one, else the CPU.

    From then on a GPU multiplies float32 as exactly as a CPU, where PyTorch would have convolutions
    round to ten bits unasked: what is measured does not depend on the machine. The steps of a
    training may ask for it (`precision.tf32`).
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        multiply(tf32=False)
    return device


def begin_on(name: str, dtype: str) -> torch.device:
    """The device called `name`, whose peak of memory counts from now on.

    Raises:
        TrialError: it does not compute in `precision.dtype`.
    """
    device = pick_device(name)
    require_dtype(device, dtype, "precision.dtype")
    forget_peak(device)
    return device


def require_dtype(device: torch.device, dtype: str, setting: str) -> None:
    """That `device` computes in the `dtype` which `setting` asks for: torch takes NVIDIA's GPUs of
    before Ampere for some that know bfloat16, and has no such convolutions for them.

    Raises:
        TrialError: it does not.
    """
    if dtype != "bfloat16" or device.type != "cuda" or torch.version.hip:
        return
    if (has := torch.cuda.get_device_capability(device)) < AMPERE:
        name = torch.cuda.get_device_name(device)
        raise TrialError(
            f"{setting}: {name}, of compute capability {has[0]}.{has[1]}, does not compute in"
            f" bfloat16 (expected float32, or a GPU of {AMPERE[0]}.{AMPERE[1]} or higher)"
        )


def memory_of(device: torch.device) -> tuple[int, int]:
    """Bytes of a GPU's memory that nobody holds now, other processes included, and all of it."""
    return torch.cuda.mem_get_info(device)


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class PendingScalar:
    """A scalar that is being copied to the host while the device goes on."""

    def __init__(self, value: Tensor) -> None:
        self._value = value.to("cpu", non_blocking=True)
        on_gpu = value.device.type == "cuda"
        self._copied = torch.cuda.current_stream(value.device).record_event() if on_gpu else None

    def result(self) -> bool:
        """Its value; waits for no more than what the device was given before it."""
        if self._copied is not None:
            self._copied.synchronize()
        return bool(self._value)


def forget_peak(device: torch.device) -> None:
    """Have a GPU's peak counted from now on: its process may have trained others before."""
    if device.type == "cuda" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> float:
    """The most memory held so far, in MiB: of the GPU, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
