"""Inception score: how sure a classifier is of each image, and how varied it finds them all.

Salimans et al. 2016, arXiv:1606.03498; the mathematics is `trials.metrics.classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class InceptionScore(Measure):
    """In [1, number of classes]."""

    key = "inception_score"
    summary = (
        "exp E KL(p(y|x) ‖ p(y)), the mean over 10 parts of the images: clear and varied to a "
        "classifier; lower where a part has few images a class; blind to the real data"
    )
    better = "higher"
    paper = "Salimans et al. 2016, arXiv:1606.03498"
    needs = frozenset({"logits"})
    order = 60
    brief = False
    label = "Inception score"
    method = "the Inception score"

    def compute(self, seen: Pass) -> float:
        from trials.metrics.classes import inception_score

        assert seen.logits is not None
        return inception_score(seen.logits)
