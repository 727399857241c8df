"""Measures over the classes that a network sees in the images.

Inception score: exp E KL(p(y|x) ‖ p(y)), the mean over `splits` parts. Salimans et al. 2016,
arXiv:1606.03498; reference implementation torchmetrics `InceptionScore`. ≥ 1, at most the
number of classes; blind to the real data and to copies within a class.

Class coverage: the share of the real data's classes that occur among the generated images, and
the KL divergence of the generated classes' distribution from the real one's, as the stacked-MNIST
experiments count them: Metz et al. 2017, arXiv:1611.02163; Srivastava et al. 2017,
arXiv:1705.07761. Classes are the extractor's predictions on both sides, so that its own mistakes
count on both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SPLITS = 10
DRAWS = 8
"""Perfect sets of samples from which it is estimated how many classes chance misses."""


def inception_score(logits: Tensor, splits: int = SPLITS) -> float:
    """Inception score of logits (n, k), in [1, k]. Parts are consecutive; n ≥ `splits`."""
    log_p = logits.detach().to(torch.float64).log_softmax(dim=1)
    scores = []
    for part in log_p.tensor_split(min(splits, len(log_p))):
        p = part.exp()
        marginal = p.mean(dim=0, keepdim=True)
        # KL(p(y|x) ‖ p(y)); where the marginal underflows to 0, so does p, and the term is 0.
        divergence = (p * (part - marginal.log())).nan_to_num(0.0).sum(dim=1)
        scores.append(divergence.mean().exp())
    return float(torch.stack(scores).mean())


def class_counts(logits: Tensor) -> Tensor:
    """How often each class is the most likely one: logits (n, k) → (k,) int64."""
    return torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1])


def class_coverage(real: Tensor, fake: Tensor) -> float:
    """Share in [0, 1] of the classes with real images that have generated ones: counts (k,)."""
    present = real > 0
    return int(((fake > 0) & present).sum()) / int(present.sum())


def class_divergence(real: Tensor, fake: Tensor) -> float:
    """KL(generated ‖ real) in nats of two class counts (k,), ≥ 0.

    0 is the data's own balance; the logarithm of the number of classes is one class alone. A
    class without real images counts as half an image, so the divergence stays finite.
    """
    p = fake.double() / fake.sum()
    q = real.double().clamp_min(0.5) / real.sum()
    return float(torch.special.xlogy(p, p / q).sum().clamp_min(0))


def balance(real: Tensor, fake: Tensor) -> float:
    """Share in (0, 1] of the classes that are reached, from two class counts (k,).

    exp(−KL(generated ‖ real)) over what as many perfect samples would have: few samples miss
    classes by chance, above all where there are hundreds, and that is no collapse.
    """
    count = int(fake.sum())
    q = real.double() / real.sum()
    chance = torch.Generator().manual_seed(0)  # the same counts always give the same share
    drawn = torch.multinomial(q.cpu(), count * DRAWS, replacement=True, generator=chance)
    perfect = torch.stack(
        [torch.bincount(part, minlength=len(real)) for part in drawn.view(DRAWS, count)]
    )
    missed = sum(class_divergence(real.cpu(), counts) for counts in perfect) / DRAWS
    return math.exp(min(0.0, missed - class_divergence(real, fake)))
