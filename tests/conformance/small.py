"""The smallest trainings, where the tests of this project's parts have always found them."""

from sweeper.testing.small import (
    SMALL,
    comparable,
    differ,
    losses_of,
    small_config,
    tensors_of,
    trained,
    trick_of,
    with_trick,
)

__all__ = [
    "SMALL",
    "comparable",
    "differ",
    "losses_of",
    "small_config",
    "tensors_of",
    "trained",
    "trick_of",
    "with_trick",
]
