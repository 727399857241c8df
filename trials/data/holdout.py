"""Which items are kept out of the training, to tell memorisation from learning.

The choice depends on the count and the share alone, by a fixed hash of each position, so that it
is the same in every process, on every machine and with every version of every library.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def held_out(count: int, share: float) -> npt.NDArray[np.bool_]:
    """Mask (count,) that is true for round(share · count) items, at least one where share > 0.

    An item is kept out when its hash is among the smallest.
    """
    mask = np.zeros(count, dtype=bool)
    if share > 0:
        kept = max(1, round(share * count))
        mask[np.argsort(_hash(count), kind="stable")[:kept]] = True
    return mask


def _hash(count: int) -> npt.NDArray[np.uint64]:
    """splitmix64 (Steele et al. 2014) of 0 … count − 1: a bijection, so there are no ties."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
