"""What a GPU is used for, in ratios, against loops that a person would write. Needs an NVIDIA GPU.

    python -m benchmarks.gpu [--seconds 15] [--count 50000] [--only dcgan,sngan,...]
    python -m benchmarks.gpu --rehearse       # every row on the CPU, tiny: the figures mean nothing

    dcgan        images a second of DCGAN 64×64, batch 128, against PyTorch's own example of it
    sngan        SNGAN's ResNet 32×32, 5 critic steps, batch 64, hinge, averaged weights, against a
                 hand-written eager loop in float32 on the same networks
    penalty      the same with a gradient penalty
    graphs       both of our own, steps repeated as CUDA graphs against steps played as written
    compile      both of our own, as graphs, networks compiled against networks as written, and the
                 seconds until the first step of either is done
    busy         the share of SNGAN's step in which the GPU computes, by torch's profiler
    evaluation   FID and KID of 50,000 × 2,048 features, against torchmetrics on the same GPU
    sharing      trials an hour of 16 of the quickstart's shape with `gpu: auto`, and MPS where that
                 can be started, against one after another with the whole GPU
    fid          SNGAN on 32×32 digits, so many steps in bfloat16 and in float32, five seeds each

Ours trains in bfloat16, channels last, TF32 on, its steps repeated as CUDA graphs; where they are
not, the reason stands before the row. Both sides of a row take turns on the same device
in this process, have the same data, PyTorch's example loaded by its two processes, and warm up
first. Each row is printed as it is measured with the seconds that it took, within ten minutes in
all on a data centre's GPU.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.evaluation import by_torchmetrics, synthetic
from benchmarks.gpu_opponents import dcgan_example, eager_sngan
from benchmarks.gpu_sharing import pretended_gpu, times_as_many
from trials.config import load_config
from trials.data import open_data
from trials.engine.composed_game import ComposedGame
from trials.engine.loop import Loop
from trials.metrics.frechet import Moments, Reference
from trials.metrics.kernel import kernel_distance
from trials.metrics.neighbours import cross_pairs, self_pairs
from trials.presets import merge
from trials.trainer import train

FAST: dict[str, Any] = {
    "precision": {"dtype": "bfloat16", "channels_last": True, "tf32": True},
    "graphs": True,
}
ROUNDS = 3
"""Turns that each side of a row takes."""


@dataclass(frozen=True)
class Size:
    """How much is measured: all of it, or as little as shows that every row works."""

    device: torch.device
    seconds: float
    count: int
    dim: int
    width: int
    side: int
    steps: int
    seeds: int


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(play: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """Calls a second, of as many as take so long."""
    wait(device)
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(4):
            play()
        wait(device)
        calls += 4
    return calls / (time.perf_counter() - began)


def faster(ours: Callable[[], Any], theirs: Callable[[], Any], size: Size) -> tuple[float, float]:
    """Ours against theirs in calls a second, and our calls a second: medians of turns."""
    for play in (ours, theirs):
        rate(play, size.seconds / 5, size.device)
    turns = [
        (rate(ours, share, size.device), rate(theirs, share, size.device))
        for share in [size.seconds / (2 * ROUNDS)] * ROUNDS
    ]
    ratio = statistics.median(mine / other for mine, other in turns)
    return ratio, statistics.median(mine for mine, _ in turns)


def pictures(folder: Path, side: int) -> dict[str, Any]:
    """Settings of data that are noise: what is timed does not depend on what they show."""
    file = folder / f"noise{side}.npz"
    noise = np.random.default_rng(0)
    np.savez(file, images=noise.integers(0, 256, (2048, side, side, 3), np.uint8))
    return {"name": "npz", "path": str(file), "size": side, "labels_key": None}


def loop_of(mapping: dict[str, Any], device: torch.device) -> Loop:
    config = load_config(merge({"steps": 10_000_000, "evaluation": {"every": 10_000_000}}, mapping))
    game = ComposedGame(config, config.build_tricks(), open_data(config.data), device)
    return Loop(config, game, print)


def one_round(loop: Loop) -> Callable[[], None]:
    """A round as the trainer plays it between two evaluations."""

    def play() -> None:
        with loop.at_work():
            loop.play()

    return play


def sngan(size: Size, folder: Path, *, penalty: bool = False) -> dict[str, Any]:
    """SNGAN's networks for 32×32 with averaged weights."""
    tricks: dict[str, Any] = {"ema": {"decay": 0.999, "warm_up": False}}
    tricks |= {"gradient_penalty": True} if penalty else {}
    players = {"generator": {"width": 2 * size.width}, "discriminator": {"width": size.width}}
    return {
        "preset": "sngan",
        "data": pictures(folder, size.side // 2),
        "networks": players,
        "optimizer": {player: {"decay": "none"} for player in players},
        "tricks": tricks,
    }


def row_dcgan(size: Size, folder: Path) -> str:
    data = pictures(folder, size.side)
    players = {player: {"width": size.width // 2} for player in ("generator", "discriminator")}
    mapping = {"preset": "dcgan", "data": data, "networks": players}
    loop = loop_of(merge(mapping, FAST), size.device)
    images = loop.game.dataset.images
    theirs = dcgan_example(images, loop.trial.batch_size, size.width // 2, size.device)
    ratio, ours = faster(one_round(loop), theirs, size)
    images_a_second = ours * loop.trial.batch_size
    return f"{ratio:.2f} x PyTorch's example ({images_a_second:,.0f} images a second; target 3)"


def _sngan_row(size: Size, folder: Path, *, penalty: bool) -> float:
    mapping = sngan(size, folder, penalty=penalty)
    loop = loop_of(merge(mapping, FAST), size.device)
    plain = loop_of(mapping, size.device).game
    networks: tuple[nn.Module, nn.Module] = (plain.generator, plain.discriminator)
    images = plain.dataset.images.to(size.device)
    theirs = eager_sngan(*networks, images, loop.trial.batch_size, penalty=penalty)
    return faster(one_round(loop), theirs, size)[0]


def row_sngan(size: Size, folder: Path) -> str:
    return f"{_sngan_row(size, folder, penalty=False):.2f} x an eager loop (target 3)"


def row_penalty(size: Size, folder: Path) -> str:
    return f"{_sngan_row(size, folder, penalty=True):.2f} x an eager loop (target 2)"


def row_graphs(size: Size, folder: Path) -> str:
    ratios = []
    for penalty in (False, True):
        mapping = merge(sngan(size, folder, penalty=penalty), FAST)
        repeated, written = (
            one_round(loop_of({**mapping, "graphs": graphs}, size.device))
            for graphs in (True, False)
        )
        ratios.append(faster(repeated, written, size)[0])
    return "{:.2f} x our own steps as written, {:.2f} x with gradient_penalty".format(*ratios)


def row_compile(size: Size, folder: Path) -> str:
    mapping = merge(sngan(size, folder), FAST)
    plays, first = {}, {}
    for compile in (True, False):
        plays[compile] = one_round(loop_of({**mapping, "compile": compile}, size.device))
        began = time.perf_counter()
        plays[compile]()
        wait(size.device)
        first[compile] = time.perf_counter() - began
    ratio, _ = faster(plays[True], plays[False], size)
    return (
        f"{ratio:.2f} x networks as written (first step {first[True]:.0f} and {first[False]:.0f} s)"
    )


def row_busy(size: Size, folder: Path) -> str:
    from torch.profiler import ProfilerActivity, profile

    loop = loop_of(merge(sngan(size, folder), FAST), size.device)
    play, gpu = one_round(loop), size.device.type == "cuda"
    rate(play, size.seconds / 5, size.device)
    activity = ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as seen:
        began = time.perf_counter()
        loop.run_to(loop.game.step + 8)
        seconds = time.perf_counter() - began
    name = "self_device_time_total" if gpu else "self_cpu_time_total"
    computing = sum(getattr(event, name) for event in seen.key_averages()) / 1e6
    return f"{computing / seconds:.0%} of the time of a step computes (target 90%)"


def row_evaluation(size: Size, folder: Path) -> str:
    real, fake = (
        synthetic(size.count, size.dim, seed, 0.01 * seed).to(size.device) for seed in (1, 2)
    )
    reference, pairs = Reference.of(Moments.of(real)), self_pairs(real)  # once a sweep

    def ours() -> None:
        own = self_pairs(fake)
        cross = cross_pairs(pairs, own)
        reference.distance(Moments.of(fake))
        kernel_distance(pairs.kernel, own.kernel, cross.kernel)

    def theirs() -> None:
        for name in ("fid", "kid"):
            by_torchmetrics(name, real, fake)

    ratio = 1 / _quicker(ours, theirs, size.device)
    return f"{ratio:.1f} x torchmetrics, precision and recall besides (target 10)"


def _quicker(ours: Callable[[], Any], theirs: Callable[[], Any], device: torch.device) -> float:
    seconds = []
    for work in (ours, theirs):
        work()
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return seconds[0] / seconds[1]


def row_sharing(size: Size, folder: Path) -> str:
    if size.device.type == "cuda":
        ratio = times_as_many(folder, trials=16, steps=800)
    else:
        with pretended_gpu():
            ratio = times_as_many(folder, trials=3, steps=2)
    return f"{ratio:.1f} x one after another (target 8)"


def row_fid(size: Size, folder: Path) -> str:
    found: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for dtype, values in found.items():
        for seed in range(size.seeds):
            mapping = merge(sngan(size, folder), {"precision": {"dtype": dtype}, "seed": seed})
            mapping |= {
                "graphs": True,
                "data": {"name": "digits", "size": size.side // 2},
                "steps": size.steps,
                "evaluation": {"every": size.steps, "metrics": ["fid"]},
                "device": str(size.device),
            }
            result = train(load_config(mapping), folder=folder / f"{dtype}{seed}")
            assert result.final is not None
            values.append(result.final.metrics["fid"])
    means = {dtype: statistics.fmean(values) for dtype, values in found.items()}
    spread = statistics.stdev(found["float32"])
    return (
        f"{means['bfloat16']:.2f} in bfloat16, {means['float32']:.2f} in float32 after {size.steps}"
        f" steps (one seed differs from another by {spread:.2f})"
    )


ROWS: dict[str, Callable[[Size, Path], str]] = {
    "dcgan": row_dcgan,
    "sngan": row_sngan,
    "penalty": row_penalty,
    "graphs": row_graphs,
    "compile": row_compile,
    "busy": row_busy,
    "evaluation": row_evaluation,
    "sharing": row_sharing,
    "fid": row_fid,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15, help="for each row that is timed")
    parser.add_argument("--count", type=int, default=50_000, help="features on either side")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas between them")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    options = parser.parse_args()
    rows = options.only.split(",")
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}: one of {', '.join(ROWS)}")
    if options.rehearse:
        size = Size(torch.device("cpu"), 0.1, 64, 8, 4, 16, 2, 2)
    elif torch.cuda.is_available():
        gpu = torch.device("cuda")
        size = Size(gpu, options.seconds, options.count, 2048, 128, 64, 500, 5)
        print(f"{torch.cuda.get_device_name(gpu)}, torch {torch.__version__}")
    else:
        print("These rows are measured on an NVIDIA GPU; torch sees none here.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            began = time.perf_counter()
            told = ROWS[row](size, Path(folder))
            print(f"{row:<12} {told}  [{time.perf_counter() - began:.0f} s]", flush=True)
            gc.collect()  # graphs lie in cycles, and other processes share the GPU with this one
            if size.device.type == "cuda":
                torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
