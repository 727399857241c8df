"""The trainer's loop against a hand-written PyTorch loop on the same networks.

    python benchmarks/training.py [--steps 300] [--rounds 5] [--json]
    python benchmarks/training.py --compile [--preset sngan]   # the same trainer, networks compiled

Both train the same DCGAN on UCI digits with the same optimiser, batch size and non-saturating loss,
no trick on, in alternating rounds in one process. Target: at most 1.05 times the bare loop.

With `--compile` the opponent is the trainer as it is, and what is told is when compiling pays: the
processor time of the first step, and after how many steps it is earned back.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from trials.config import load_config
from trials.trainer import Training


def bare(generator: nn.Module, discriminator: nn.Module, images: torch.Tensor, steps: int) -> float:
    """Seconds of the loop that a person would write."""
    make = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    judge = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    began = time.perf_counter()
    for _ in range(steps):
        real = images[torch.randint(len(images), (64,))].float() / 127.5 - 1
        judge.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(64, 64))
        r, f = discriminator(real).score, discriminator(fake).score
        loss = F.softplus(-r).mean() + F.softplus(f).mean()
        torch.autograd.backward(loss)
        judge.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(False)
        make.zero_grad()
        loss = F.softplus(-discriminator(generator(torch.randn(64, 64))).score).mean()
        torch.autograd.backward(loss)
        make.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
    return time.perf_counter() - began


def compiled(preset: str | None, steps: int, rounds: int) -> None:
    """Tell when it pays to compile the networks."""
    chosen: dict[str, object] = {"preset": preset} if preset else {}
    given = {"data": "digits", "steps": 10_000_000, "device": "cpu", **chosen}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            compile: Training(
                load_config({**given, "compile": compile}), Path(folder) / str(compile)
            )
            for compile in seconds
        }
        first = {compile: _seconds(training, 1) for compile, training in sides.items()}
        for _ in range(rounds):
            for compile, training in sides.items():
                seconds[compile].append(_seconds(training, steps) / steps)
    ratio = statistics.median(a / b for a, b in zip(seconds[True], seconds[False], strict=True))
    written = statistics.median(seconds[False])
    print(f"first step, compiled and as written: {first[True]:.2f} and {first[False]:.2f} s")
    print(f"a step as written: {1e3 * written:.1f} ms; compiled {ratio:.2f} of its time")
    cost, gain = first[True] - first[False], written * (1 - ratio)
    print(f"pays after {cost / gain:,.0f} steps" if gain > 0 else "never pays here")


def _seconds(training: Training, steps: int) -> float:
    """Processor time of so many steps, of the compiler's processes too."""
    began = os.times()
    training.run_to(training.step + steps)
    return sum(os.times()[:4]) - sum(began[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end with the ratio as JSON")
    parser.add_argument("--compile", action="store_true", help="does compiling networks pay?")
    parser.add_argument("--preset", help="with --compile: other networks than the default's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.compile:
        compiled(arguments.preset, arguments.steps, arguments.rounds)
        return
    config = load_config({"data": "digits", "steps": 10_000_000, "device": "cpu"})
    with tempfile.TemporaryDirectory() as folder:
        training = Training(config, Path(folder))
        players = (
            copy.deepcopy(training.game.generator),
            copy.deepcopy(training.game.discriminator),
        )
        ours, theirs = [], []
        for round_ in range(arguments.rounds + 1):  # the first warms up and is not counted
            began = time.perf_counter()
            training.run_to(training.step + arguments.steps)
            seconds = time.perf_counter() - began
            opponent = bare(*players, training.dataset.images, arguments.steps)
            if round_:
                ours.append(seconds)
                theirs.append(opponent)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"steps a second, trainer:    {arguments.steps / statistics.median(ours):8.1f}")
    print(f"steps a second, bare loop:  {arguments.steps / statistics.median(theirs):8.1f}")
    print(
        f"ratio of seconds: {statistics.median(ratios):.3f} "
        f"(from {min(ratios):.3f} to {max(ratios):.3f}; target 1.05)"
    )
    if arguments.json:
        print(json.dumps({"ratios": {"bare loop": statistics.median(ratios)}}))


if __name__ == "__main__":
    main()
