"""Past its best: FID is worse than its best by a margin and has been for long.

"BigGAN [...] reaches better performance in fewer iterations, but becomes unstable and even
collapses afterward" (Hui). Training on is waste: the best generator is already kept. Small rises
do not count: an FID near its floor doubles by chance, and in a plane it rises while a shapeless
cloud, whose mean and covariance are right early on, turns into modes.
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.health.sign import Evidence, Sign, SignConfig
from trials.health.signals import Signals
from trials.part import knob


class PastBest(Sign):
    """FID beside its best so far."""

    key = "past_best"
    summary = "FID has been well above its best for long"
    advice = (
        "The best generator is kept; stop here. To get further: let learning rates decay, ema,"
        " a regularised discriminator (r1, spectral_norm, lecam) or diff_augment on little data."
    )
    source = (
        'Hui 2018, "GAN: Ways to Improve GAN Performance"; '
        'Raj 2019, "Advances in Generative Adversarial Networks"'
    )
    ends_as = "stopped"
    examples = ({"fid": (30.0,)},)

    class Config(SignConfig):
        persistence: int = knob(4, "Evaluations in a row that must be worse than the best", ge=1)
        margin: float = knob(0.5, "Share by which FID must exceed its best", gt=0)
        least: float = knob(0.1, "Smallest rise that counts, over the FID of the mean image", ge=0)

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        measured = [s for s in history if s.fid is not None]
        best = min(measured, key=lambda s: s.fid or 0.0, default=None)
        recent = history[-self.config.persistence :]
        if best is None or best.fid is None or len(recent) < self.config.persistence:
            return None
        for signals in recent:
            rise = self.config.least * (signals.fid_scale or 0.0)
            limit = max((1 + self.config.margin) * best.fid, best.fid + rise)
            if signals.fid is None or signals.fid <= limit:
                return None
        fid = recent[-1].fid or 0.0
        return {"fid": fid, "best": best.fid, "best_step": float(best.step)}

    def note(self, evidence: Evidence) -> str:
        return (
            f"FID is {evidence['fid']:.3g} and was {evidence['best']:.3g} at step"
            f" {evidence['best_step']:.0f}; since then it has only been worse."
        )
