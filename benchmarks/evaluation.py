"""One evaluation of FID, KID and the four measures over neighbours, against torchmetrics and prdc.

    python benchmarks/evaluation.py            # 10,000 x 2,048 features on each side
    python benchmarks/evaluation.py --count 2000 --dim 512 --threads 1
    python benchmarks/evaluation.py --count 50000 --alone   # without the opponents

Both sides get the same features; no network runs. torchmetrics computes FID and KID (its defaults:
100 subsets of 1,000); it has no precision, recall, density and coverage, so clovaai's prdc, the
authors' code, stands in there. It holds all distances at once, and ours a tile of them: peak
memory is told of both. Ours is timed twice: `cold` computes the real side as well, `warm` finds it
in memory, as every evaluation of a sweep but the first does, because the real side is cached. The
opponents have no such cache and are always timed whole. The target is a warm factor of 4; the exit
status is 1 where it is missed or where the numbers disagree.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from trials.metrics.extractors.inception import bare_package
from trials.metrics.frechet import Moments, Reference
from trials.metrics.kernel import kernel_distance
from trials.metrics.neighbours import SelfPairs, cross_pairs, self_pairs
from trials.metrics.progress import Throttled

TARGET = 4.0


class Untouched(nn.Module):
    """Stands where torchmetrics expects a network: features go in, features come out."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, x: Tensor) -> Tensor:
        return x


def synthetic(count: int, dim: int, seed: int, shift: float) -> Tensor:
    """Correlated, non-negative features of Inception's magnitude: float32 (count, dim)."""
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(0)) / dim**0.5
    spectrum = torch.linspace(0, -3, dim).exp()
    raw = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    features: Tensor = 0.4 * ((raw * spectrum) @ mixing + 0.3 + shift).relu()
    return features


def timed(label: str, work: Callable[[], Any]) -> tuple[Any, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(f"  {label:<34} {seconds:8.2f} s {cpu:8.2f} s of processor", flush=True)
    return result, seconds


def real_side(real: Tensor) -> tuple[Reference, SelfPairs]:
    return Reference.of(Moments.of(real)), self_pairs(real)


def ours(reference: Reference, real: SelfPairs, fake: Tensor) -> dict[str, float]:
    progress = Throttled(lambda said: print(f"    {said}", flush=True))
    own = self_pairs(fake, heard=lambda share: progress(f"pairs of generated images: {share:.0%}"))
    cross = cross_pairs(real, own, heard=lambda share: progress(f"pairs of both: {share:.0%}"))
    return {
        "fid": reference.distance(Moments.of(fake)),
        "kid": kernel_distance(real.kernel, own.kernel, cross.kernel),
        "precision": cross.precision,
        "recall": cross.recall,
        "density": cross.density,
        "coverage": cross.coverage,
    }


def by_torchmetrics(name: str, real: Tensor, fake: Tensor) -> float:
    with bare_package(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = {"fid": "FrechetInceptionDistance", "kid": "KernelInceptionDistance"}
        kind = getattr(import_module(f"torchmetrics.image.{name}"), modules[name])
        options = {"subset_size": min(1000, len(real))} if name == "kid" else {}
        metric = kind(feature=Untouched(real.shape[1]), **options).to(real.device)
    for start in range(0, len(real), 1000):
        metric.update(real[start : start + 1000], real=True)
        metric.update(fake[start : start + 1000], real=False)
    value = metric.compute()
    return float(value[0] if isinstance(value, tuple) else value)


def by_prdc(real: Tensor, fake: Tensor) -> dict[str, float]:
    prdc = import_module("prdc")
    with contextlib.redirect_stdout(io.StringIO()):
        found: dict[str, float] = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    return found


def agree(name: str, mine: float, theirs: float, tolerance: float) -> bool:
    close = abs(mine - theirs) <= tolerance
    verdict = "agree" if close else "DIFFER"
    print(f"  {name:<10} {mine:14.8f} {theirs:14.8f}   {verdict} within {tolerance:.1e}")
    return close


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--alone", action="store_true", help="leave the opponents out")
    parser.add_argument("--json", action="store_true", help="end with the ratio as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    real = synthetic(options.count, options.dim, 1, 0.0)
    fake = synthetic(options.count, options.dim, 2, 0.02)
    by_torchmetrics("fid", real[:200, :8], fake[:200, :8])  # imports are nobody's time
    by_prdc(real[:200, :8], fake[:200, :8])

    print(f"{options.count} x {options.dim} features a side, {options.threads} thread(s)\nours")
    (reference, pairs), once = timed("real side (once a sweep, cached)", lambda: real_side(real))
    mine, warm = timed("FID, KID and four of neighbours", lambda: ours(reference, pairs, fake))
    held = peak_gib()
    if options.alone:
        print(f"peak memory {held:.1f} GiB; " + ", ".join(f"{k} {v:.6g}" for k, v in mine.items()))
        return 0
    print("opponents")
    fid, seconds_fid = timed("torchmetrics FID", lambda: by_torchmetrics("fid", real, fake))
    kid, seconds_kid = timed("torchmetrics KID", lambda: by_torchmetrics("kid", real, fake))
    manifold, seconds_prdc = timed("prdc, the four of neighbours", lambda: by_prdc(real, fake))
    theirs = seconds_fid + seconds_kid + seconds_prdc

    print("values: ours, theirs")
    same = [
        agree("fid", mine["fid"], fid, 1e-5 * abs(fid)),
        # torchmetrics draws 100 random subsets; the band is its own scatter.
        agree("kid", mine["kid"], kid, max(0.05 * abs(kid), 1e-5)),
        *(agree(name, mine[name], value, 5e-4) for name, value in manifold.items()),
    ]
    print(f"peak memory: {held:.1f} GiB, with the opponents {peak_gib():.1f} GiB")
    print(f"warm: {theirs / warm:.1f} times faster ({warm:.2f} s against {theirs:.2f} s)")
    print(f"cold: {theirs / (once + warm):.1f} times faster ({once + warm:.2f} s, real side too)")
    if options.json:
        print(json.dumps({"ratios": {"torchmetrics and prdc": warm / theirs}}))
    return 0 if all(same) and theirs / warm >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
