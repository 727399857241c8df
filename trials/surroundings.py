"""What a training runs in: machine, libraries, threads and code, as plain texts.

On a CPU the same configuration gives the same numbers, bit for bit, where all of `DECIDING` is the
same: a product is added up in another order by other threads, instructions or libraries. On a GPU
that is not promised.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from trials.distributions import OURS, version_of

FLAGS = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables by which torch's libraries choose how they calculate."""

DECIDING = (
    *("code", "torch", "numpy", "python", "cuda", "cudnn"),
    *("processor", "instructions", "threads", "matmul", "deterministic"),
    *("gpu", "gpu_driver"),
    *FLAGS,
)
"""What may change a number; the rest (`machine`, `system`) is for a reader."""

_DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")


def surroundings() -> dict[str, str]:
    """What this process would train in now, by name; what there is none of is left out.

    What torch knows is asked where torch has been imported: a training has.
    """
    told = {
        "machine": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "python": platform.python_version(),
        "numpy": _numpy(),
        "code": code(),
        **{name: os.environ.get(name, "") for name in FLAGS},
    }
    if "torch" in sys.modules:
        told |= _of_torch()
    return {name: value for name, value in told.items() if value}


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What decides about numbers and is not the same, each with both texts."""
    both = {name: (then.get(name, ""), now.get(name, "")) for name in DECIDING}
    return {name: texts for name, texts in both.items() if texts[0] != texts[1]}


@functools.cache
def code() -> str:
    """The version of this package and a hash of the trainer's source: a checkout may be changed
    without another version."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(here.rglob("*.py")):
        digest.update(file.relative_to(here).as_posix().encode() + b"\0")
        digest.update(file.read_bytes() + b"\0")
    return f"{version_of(OURS) or 'a checkout'} sha256:{digest.hexdigest()[:12]}"


def _of_torch() -> dict[str, str]:
    import torch

    told = {
        "torch": str(torch.__version__),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": "yes" if torch.are_deterministic_algorithms_enabled() else "no",
        "cuda": str(torch.version.cuda or ""),
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        told["gpu"] = ", ".join(names)
        told["gpu_driver"] = _gpu_driver()
        told["cudnn"] = str(torch.backends.cudnn.version() or "")  # type: ignore[no-untyped-call]
    return told


@functools.cache
def _numpy() -> str:
    """Its version. Looking it up reads all that its distribution says of itself, and what has been
    imported stays what it is."""
    return version_of("numpy")


@functools.cache
def _processor() -> str:
    """The processor's model; its kind where the system does not say more."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def _gpu_driver() -> str:
    """The version of NVIDIA's driver as the kernel says it."""
    for file in _DRIVER_FILES:
        try:
            return Path(file).read_text(errors="replace").splitlines()[0].strip()
        except (OSError, IndexError):
            continue
    return ""
