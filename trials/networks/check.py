"""What cannot be built, found before anything is."""

from __future__ import annotations

from collections.abc import Iterable

from trials.networks.family import SMALLEST, Family
from trials.networks.layers.activations import ACTIVATIONS
from trials.networks.layers.init import INITIALISERS
from trials.networks.layers.norms import NORMS
from trials.networks.layers.resampling import DOWNSAMPLERS, UPSAMPLERS
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, NetworkPlan, PlayerPlan
from trials.problems import Problem, nearest

SIZES = (8, 16, 32, 64, 128, 256)


def check(plan: NetworkPlan) -> list[Problem]:
    """Every reason why `build` would refuse the plan."""
    return [*_generator(plan.generator), *_discriminator(plan.discriminator)]


def _generator(plan: GeneratorPlan) -> list[Problem]:
    player = "generator"
    family, problems = _player(plan, player)
    if family is None:
        return problems
    if family.GeneratorKnobs is None:
        choices = [key for key, other in Family.all().items() if other.GeneratorKnobs is not None]
        problems.append(_problem(player, "family", f"{family.key} only judges", _any(choices)))
        return problems
    if _has_maps(plan, family):
        problems += _name(player, "upsample", plan.upsample, UPSAMPLERS)
    if plan.conditioning != "none" and not plan.classes:
        problems.append(Problem("data", "has no labels to condition the generator on"))
    if plan.latent < 1:
        problems.append(Problem("latent", "has no numbers in it", "at least 1"))
    problems += _condition(plan, family)
    if not problems:
        problems += family.check_generator(plan)
    return problems


def _condition(plan: GeneratorPlan, family: type[Family]) -> list[Problem]:
    """A condition image: needs feature maps, and a size that the encoder can work down from."""
    if not plan.condition_channels:
        if plan.enlarge != 1:
            return [Problem("task", "there is no image to enlarge", "condition_channels")]
        return []
    if not _has_maps(plan, family):
        return [Problem("task", f"the family {family.key} cannot work from an image")]
    smaller, rest = divmod(plan.shape[-1], plan.enlarge)
    if rest or smaller < SMALLEST or smaller & (smaller - 1):
        expected = f"a power of two that leaves at least {SMALLEST}"
        return [Problem("task", f"cannot enlarge {plan.enlarge} times", expected)]
    return []


def _discriminator(plan: DiscriminatorPlan) -> list[Problem]:
    player = "discriminator"
    family, problems = _player(plan, player)
    if family is None:
        return problems
    if family.DiscriminatorKnobs is None:
        choices = [k for k, other in Family.all().items() if other.DiscriminatorKnobs is not None]
        problems.append(_problem(player, "family", f"{family.key} only makes", _any(choices)))
        return problems
    if _has_maps(plan, family):
        problems += _name(player, "downsample", plan.downsample, DOWNSAMPLERS)
    elif plan.append_maps:
        message = f"the family {family.key} has no feature maps to append one to"
        problems.append(_problem(player, "family", message))
    if plan.conditioning != "none" and not plan.classes:
        problems.append(Problem("data", "has no labels to condition the discriminator on"))
    if not problems:
        problems += family.check_discriminator(plan)
    return problems


def _player(plan: PlayerPlan, player: str) -> tuple[type[Family] | None, list[Problem]]:
    """What both players' plans have to satisfy; no family where its name is unknown."""
    problems = _name(player, "family", plan.family, Family.all())
    if problems:
        return None, problems
    family = Family.named(plan.family)
    problems += _name(player, "norm", plan.norm, {"none", *NORMS})
    problems += _name(player, "activation", plan.activation, {"maxout", *ACTIVATIONS})
    problems += _name(player, "init", plan.init, INITIALISERS)
    problems += _shape(plan, family, player)
    for name in ("width", "depth"):
        if getattr(plan, name) < 1:
            problems.append(_problem(player, name, "is not positive", "at least 1"))
    if not _has_maps(plan, family):
        if plan.norm == "instance":
            message = "instance needs feature maps: a single value has no deviation"
            problems.append(_problem(player, "norm", message, "batch or layer"))
        if plan.after_block:
            message = f"the family {family.key} has no blocks of feature maps to stand between"
            problems.append(_problem(player, "family", message))
        if getattr(plan, "convolution", "plain") != "plain":
            message = f"the family {family.key} has no convolutions"
            problems.append(_problem(player, "convolution", message, "plain"))
    if plan.activation == "maxout" and plan.pieces < 2:
        message = f"the family {family.key} has no units of several pieces"
        problems.append(_problem(player, "activation", message, "another than maxout"))
    return family, problems


def needs_company(plan: PlayerPlan) -> bool:
    """Whether this player cannot be given a single sample: batch norm over vectors. Over feature
    maps there is a deviation within the one."""
    return plan.norm == "batch" and not _has_maps(plan, Family.named(plan.family))


def _has_maps(plan: PlayerPlan, family: type[Family]) -> bool:
    return family.maps and len(plan.shape) == 3


def _shape(plan: PlayerPlan, family: type[Family], player: str) -> list[Problem]:
    shape = plan.shape
    wanted, made = ("points", "images") if len(shape) == 1 else ("images", "points")
    if not getattr(family, wanted):
        choices = [key for key, other in Family.all().items() if getattr(other, wanted)]
        message = f"{family.key} makes {made}, the data are {wanted}"
        return [_problem(player, "family", message, _any(choices))]
    if len(shape) == 1:
        return []
    sized = len(shape) == 3 and shape[1] == shape[2] and shape[1] in SIZES
    if not sized:
        extent = "×".join(str(length) for length in shape[1:])
        expected = "a square whose side is one of " + ", ".join(map(str, SIZES))
        return [Problem("data.size", f"networks cannot make images of {extent}", expected)]
    return []


def _name(player: str, field: str, value: str, keys: Iterable[str]) -> list[Problem]:
    names = sorted(keys)
    if value in names:
        return []
    path = f"networks.{player}.{field}"
    return [Problem(path, f"unknown: {value}", _any(names), nearest(value, names))]


def _problem(player: str, field: str, message: str, expected: str = "") -> Problem:
    return Problem(f"networks.{player}.{field}", message, expected)


def _any(names: list[str]) -> str:
    return "one of " + ", ".join(names)
