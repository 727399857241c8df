"""How weights start. Biases start at 0, whatever the rule.

`normal`: N(0, 0.02²), DCGAN (arXiv:1511.06434). `xavier`: uniform, Glorot and Bengio 2010.
`he`: normal, arXiv:1502.01852. `orthogonal`: arXiv:1312.6120, as BigGAN uses it. `residual`:
Glorot's, with He's variance in what a block convolves, as the authors of WGAN-GP and SNGAN start.
All draw from torch's global generator, so a seed set before building fixes every weight.
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


def residual(weight: Tensor) -> None:
    """As `xavier`, and √2 times as wide where a kernel has more than one place."""
    places = weight[0, 0].numel()
    nn.init.xavier_uniform_(weight, gain=2**0.5 if places > 1 else 1.0)


INITIALISERS: dict[str, Callable[[Tensor], None]] = {
    "normal": normal,
    "xavier": xavier,
    "he": he,
    "orthogonal": orthogonal,
    "residual": residual,
}

LAST: dict[str, Callable[[Tensor], None]] = {"residual": xavier}
"""How the last layer's weights start, where that is another rule than the others'."""
