"""Learning curves of the quickstart's space, recorded once: what a search would see, in no time.

    python -m benchmarks.curves --record 83     adds to the table until it has so many
    python -m benchmarks.curves                 what the table is worth

What is trained is the quickstart on a third of its width and of its steps, FID on 500 samples every
30 steps, of configurations drawn at random: about three seconds each on one core. Each is in
`curves.json` as soon as it has ended, so an interrupted recording goes on where it stood. One that
falls apart has a shorter curve.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.watcher import SPACE
from sweeper.search.quantiles import at, quantile
from sweeper.sweepfile import Sweep, load_sweep
from sweeper.sweepfile.domains import Range
from sweeper.sweepfile.space import Draw, walk
from trials.config import load_config
from trials.files import atomic_write
from trials.trainer import Training

TABLE = Path(__file__).with_name("curves.json")
EVERY, STEPS = 30, 270
SEED = 20261130
SMALLER = (
    "base.networks.generator.width=8",
    "base.networks.discriminator.width=8",
    f"base.steps={STEPS}",
    f"base.evaluation={{every: {EVERY}, samples: 500, metrics: [fid]}}",
    "health.stop_on=[]",
    "seeds.confirm_top=0",
)
"""What a sweep file says otherwise than the quickstart's."""

Curve = list[float]
"""FID after 30, 60, … steps."""


def space(*overrides: str) -> Sweep:
    """The quickstart's space, shortened."""
    return load_sweep(SPACE, [*SMALLER, *overrides])


def trained(config: Mapping[str, Any], cache: Path) -> Curve:
    """The curve of one configuration, as far as it is finite."""
    curve: Curve = []
    with tempfile.TemporaryDirectory() as scratch:
        training = Training(load_config({**config, "device": "cpu"}), Path(scratch), cache=cache)
        training.restore()
        while not training.finished:
            training.advance()
            fid = training.history[-1].metrics["fid"]
            if not math.isfinite(fid):
                break
            curve.append(round(fid, 2))
    return curve


def drawn(sweep: Sweep) -> Iterator[Draw]:
    """Configurations drawn at random, always the same."""
    rng = np.random.default_rng(SEED)
    while True:
        yield walk(sweep, lambda parameter: at(parameter, rng.random()))


def record(count: int, cache: Path) -> None:
    """Add curves to the table until it has so many."""
    sweep = space()
    entries = json.loads(TABLE.read_text()) if TABLE.exists() else []
    for place, draw in enumerate(drawn(sweep)):
        if place >= count:
            return
        if place < len(entries):
            continue
        curve = trained(draw.config, cache)
        values = {path: _rounded(value) for path, value in draw.values.items()}
        entries.append({"values": values, "fid": curve})
        lines = ",\n".join(json.dumps(entry) for entry in entries)
        atomic_write(TABLE, f"[\n{lines}\n]\n")
        print(f"{place} {curve}", flush=True)


class Surrogate:
    """The curve of any point of the space, as a forest of extremely randomised trees (Geurts et al.
    2006) gives it that has seen the table: of the logarithm of FID, all steps of a curve at once.
    What fell apart has the worst FID of the table from there on."""

    def __init__(self, entries: Sequence[Mapping[str, Any]] | None = None) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        entries = json.loads(TABLE.read_text()) if entries is None else entries
        self._parameters = space().parameters
        worst = max(fid for entry in entries for fid in entry["fid"])
        length = STEPS // EVERY
        curves = [[*entry["fid"], *[worst] * (length - len(entry["fid"]))] for entry in entries]
        self._forest = ExtraTreesRegressor(100, random_state=0)
        self._forest.fit([self.features(entry["values"]) for entry in entries], np.log(curves))

    def curve(self, values: Mapping[str, Any]) -> Curve:
        """FID at every evaluation."""
        return [float(fid) for fid in np.exp(self._forest.predict([self.features(values)])[0])]

    def features(self, values: Mapping[str, Any]) -> list[float]:
        """A number for each range and switch, one for each choice; what does not apply is -1."""
        row: list[float] = []
        for parameter in self._parameters:
            domain, there = parameter.domain, parameter.path in values
            if isinstance(domain, Range):
                row.append(quantile(parameter, values[parameter.path]) if there else -1.0)
            else:
                row += [float(there and values[parameter.path] == one) for one in domain.points()]
        return row


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def worth() -> None:
    """Print how well a curve's values, and a forest that has not seen it, foretell its last one."""
    from scipy.stats import spearmanr

    entries = [one for one in json.loads(TABLE.read_text()) if len(one["fid"]) == STEPS // EVERY]
    curves = np.array([entry["fid"] for entry in entries])
    foretold = np.zeros(len(curves))
    for fold in range(5):
        forest = Surrogate([one for place, one in enumerate(entries) if place % 5 != fold])
        for place in range(fold, len(entries), 5):
            foretold[place] = forest.curve(entries[place]["values"])[-1]
    print(f"{len(curves)} whole curves; rank correlation with FID after {STEPS} steps")
    for place in range(curves.shape[1] - 1):
        ranks = spearmanr(curves[:, place], curves[:, -1]).statistic
        print(f"FID after {EVERY * (place + 1):>3} steps  {ranks:.2f}")
    ranks = spearmanr(foretold, curves[:, -1]).statistic
    print(f"a forest that has seen four fifths of the others  {ranks:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=int, help="curves that the table shall have")
    parser.add_argument("--cache", type=Path, default=Path("sweeps/cache"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.record is None:
        worth()
    else:
        record(given.record, given.cache)


if __name__ == "__main__":
    main()
