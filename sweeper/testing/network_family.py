"""What every family of networks promises: built from knobs alone, it trains, and can be resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sweeper.testing.promises import promise, require
from sweeper.testing.small import SMALL, differ, losses_of, tensors_of
from trials.config import load_config, problems_of
from trials.networks.family import Family
from trials.presets import merge
from trials.trainer import Training

IMAGES = {"data": {"name": "digits", "size": 16}}
POINTS = {"data": {"name": "ring", "points": 200}}


@promise("network family")
def trains_finite_and_resumes_bit_for_bit(family: type[Family], folder: Path) -> None:
    """On small images, on points, or both, as it says: losses are finite, a stop costs nothing."""
    require(family.images or family.points, "is for neither images nor points")
    for kind, data in (("images", IMAGES), ("points", POINTS)):
        if not getattr(family, kind):
            continue
        config = load_config(_mapping(family, data))
        whole = Training(config, folder / kind / "whole")
        whole.run_to(4)
        losses = losses_of(whole)
        require(losses and all(map(math.isfinite, losses.values())), f"its losses are {losses}")
        stopped = Training(config, folder / kind / "stopped")
        stopped.run_to(2)
        stopped.save()
        resumed = Training(config, folder / kind / "stopped")
        require(resumed.restore(), "it cannot be resumed")
        resumed.run_to(4)
        require(not differ(tensors_of(whole), tensors_of(resumed)), "resuming changes its weights")


def _mapping(family: type[Family], data: dict[str, Any]) -> dict[str, Any]:
    """A small trial whose players are of the family, as far as it has both."""
    players = {"generator": family.GeneratorKnobs, "discriminator": family.DiscriminatorKnobs}
    made = {player: knobs for player, knobs in players.items() if knobs is not None}
    networks: dict[str, Any] = {
        player: {"width": 8} if "width" in knobs.model_fields else {}
        for player, knobs in made.items()
    }
    if len(made) == len(players):
        networks["family"] = family.key
    else:
        for knobs in networks.values():
            knobs["family"] = family.key
    base = {name: value for name, value in SMALL.items() if name != "networks"}
    extractor = "identity" if data is POINTS else "digits"
    small = {"networks": networks, "evaluation": {"extractor": extractor}}
    mapping = merge(base, small) | data
    told = "; ".join(map(str, problems_of(mapping)))
    require(not told, f"a small trial with its defaults is not valid: {told}")
    return mapping
