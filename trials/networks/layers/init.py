"""How weights start. Biases start at 0, whatever the rule.

`normal`: N(0, 0.02²), DCGAN (arXiv:1511.06434). `xavier`: uniform, Glorot and Bengio 2010.
`he`: normal, arXiv:1502.01852. `orthogonal`: arXiv:1312.6120, as BigGAN uses it. All draw
from torch's global generator, so a seed set before building fixes every weight.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def normal(weight: Tensor) -> None:
    """N(0, 0.02²)."""
    nn.init.normal_(weight, 0.0, 0.02)


def xavier(weight: Tensor) -> None:
    """Uniform on ±√(6 / (fan in + fan out))."""
    nn.init.xavier_uniform_(weight)


def he(weight: Tensor) -> None:
    """N(0, 2 / fan in)."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def orthogonal(weight: Tensor) -> None:
    """Orthonormal rows or columns of the weight seen as an (out, in·k·k) matrix."""
    nn.init.orthogonal_(weight)


INITIALISERS: dict[str, Callable[[Tensor], None]] = {
    "normal": normal,
    "xavier": xavier,
    "he": he,
    "orthogonal": orthogonal,
}
