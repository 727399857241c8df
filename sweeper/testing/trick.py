"""What every trick promises: trains finite, resumes bit for bit, has no dead knob."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from sweeper.testing.capture import refusals
from sweeper.testing.knobs import Knobs, turns
from sweeper.testing.once import differentiated_once
from sweeper.testing.promises import Broken, promise, require
from sweeper.testing.small import (
    comparable,
    differ,
    loop_of,
    losses_of,
    tensors_of,
    trained,
    with_trick,
)
from sweeper.testing.tape import on_tape
from trials import catalogue
from trials.config import TrialConfig, load_config, problems_of
from trials.engine.graphs import WARM_UP
from trials.errors import TrialError
from trials.game import Game, Trial
from trials.presets import merge
from trials.trainer import Training
from trials.trick import Trick

VIRTUAL = {
    "networks": {player: {"norm": "virtual_batch"} for player in ("generator", "discriminator")}
}


@promise("trick")
def says_where_it_comes_from(trick: type[Trick], folder: Path) -> None:
    """Group, formula and paper; it excludes and requires tricks that exist."""
    for fact in ("group", "formula", "paper"):
        require(getattr(trick, fact), f"{trick.__qualname__} has no `{fact}`")
    for other in (*trick.conflicts, *trick.requires):
        require(other in catalogue.tricks(), f"there is no trick '{other}'")


@promise("trick")
def makes_sense_in_its_example(trick: type[Trick], folder: Path) -> None:
    """Beside what its `example` holds, a small trial with it is a valid one."""
    told = "; ".join(map(str, problems_of(with_trick(trick))))
    require(not told, f"its `example` is no valid trial with it: {told}")


@promise("trick")
def trains_finite_and_resumes_bit_for_bit(trick: type[Trick], folder: Path) -> None:
    """Stopped between two evaluations and gone on with, a training ends as if it never stopped."""
    config = load_config(with_trick(trick))
    whole = Training(config, folder / "whole")
    expected = [whole.advance(), whole.advance()]
    for evaluation in expected:
        losses = {k: v for k, v in evaluation.metrics.items() if k.startswith("loss/")}
        require(losses, "nothing was minimised")
        require(all(map(math.isfinite, losses.values())), f"a loss is not finite: {losses}")
        require("fid" in evaluation.metrics, "no FID was measured")

    stopped = Training(config, folder / "stopped")
    stopped.advance()
    stopped.run_to(4)
    stopped.save()
    resumed = Training(config, folder / "stopped")
    require(resumed.restore() and resumed.step == 4, "it cannot be resumed")
    resumed.advance()
    require(
        not differ(tensors_of(whole), tensors_of(resumed)),
        "weights or samples are others after resuming: is `state` complete, and is all that is "
        "drawn at random drawn from `game.streams`?",
    )
    require(
        [comparable(evaluation.metrics) for evaluation in resumed.history]
        == [comparable(evaluation.metrics) for evaluation in expected],
        "what was measured is different after resuming",
    )


HALF = {"precision": {"dtype": "bfloat16", "channels_last": True}}
NEAR = 0.02
"""How far, at most, a loss term of a first step in bfloat16 is from that in float32, as a share of
it, or of 1 where it is smaller."""


@promise("trick")
def trains_and_resumes_in_half_the_bits(trick: type[Trick], folder: Path) -> None:
    """In bfloat16 its terms are those of float32 as far as 8 bits go, and it resumes as exactly."""
    mapping = merge(with_trick(trick), HALF)
    if problems_of(mapping):
        return
    # One after the other: dropout draws from torch's own stream, which they share.
    expected = loop_of(with_trick(trick))
    expected.run_to(1)
    whole = loop_of(mapping)
    whole.run_to(1)
    state, real = copy.deepcopy(whole.game.state()), whole.real
    truth = losses_of(expected)
    for name, value in losses_of(whole).items():
        far = abs(value - truth[name]) / max(1.0, abs(truth[name]))
        require(far <= NEAR, f"{name} is {value} in bfloat16, and {truth[name]} in float32")
    whole.run_to(2)
    resumed = loop_of(mapping)
    resumed.game.load_state(state)
    resumed.real = real
    resumed.run_to(2)
    require(not differ(tensors_of(whole), tensors_of(resumed)), "it resumes to other weights")


LONG = {"steps": 60, "evaluation": {"every": 60}}


@promise("trick")
def says_whether_a_step_with_it_can_be_captured(trick: type[Trick], folder: Path) -> None:
    """A CUDA graph could repeat a step with it, for each of its knobs, or it says why not."""

    def surroundings(knobs: Knobs) -> dict[str, Any]:
        bare = with_trick(trick, knobs, example=False)
        return with_trick(trick, knobs) if problems_of(bare) else bare

    def stands(knobs: Knobs) -> bool:
        return not problems_of(surroundings(knobs))

    variants: list[Knobs] = [{}]
    for knob in trick.Config.model_fields:
        variants += [after for _, after in itertools.islice(turns(trick.Config, knob, stands), 1)]
    for knobs in variants:
        # What cannot be captured shows in a short training, where the host decides more often.
        length: dict[str, Any] = {} if trick.not_capturable else LONG
        found = refusals(loop_of(merge(surroundings(knobs), length)))
        if trick.not_capturable and found:
            return
        require(
            trick.not_capturable or not found,
            f"a step with {knobs or 'its defaults'} cannot be captured, and it does not say so in"
            f" `not_capturable`: {'; '.join(found)}",
        )
    require(not trick.not_capturable, "it can be captured after all: `not_capturable` is wrong")
    _repeats_to_the_same_bits(merge(surroundings({}), LONG))


def _repeats_to_the_same_bits(mapping: Mapping[str, Any]) -> None:
    """Rounds that are captured and repeated leave what rounds leave that are played as written."""
    left = []
    with on_tape():
        for graphs in (False, True):
            loop = loop_of(merge(mapping, {"graphs": graphs}))
            loop.run_to(WARM_UP + 2)
            left.append((tensors_of(loop), losses_of(loop)))
    (tensors, losses), (repeated, repeated_losses) = left
    require(
        not differ(tensors, repeated) and losses == repeated_losses,
        "a step that is repeated as a graph leaves other weights, samples or losses: what changes"
        " from step to step goes through `game.host`, or stays where it is in memory",
    )


@promise("trick")
def learns_from_compiled_networks(trick: type[Trick], folder: Path) -> None:
    """What it differentiates twice it computes inside `game.exact`, which a compiled network needs;
    or `not_compilable` says why there is none beside it."""
    left = []
    with differentiated_once():
        for compiled in (False, True):
            loop = loop_of(merge(with_trick(trick), {"compile": compiled}))
            try:
                loop.run_to(2)
            except TrialError as error:
                raise Broken(str(error)) from error
            left.append((tensors_of(loop), losses_of(loop)))
    (tensors, losses), (again, losses_again) = left
    require(
        not differ(tensors, again) and losses == losses_again,
        "from compiled networks other weights, samples or losses come",
    )


@promise("trick")
def touches_no_more_than_game_and_trial_show(trick: type[Trick], folder: Path) -> None:
    """Hooks, checks and advice keep to the interfaces `trials.game.Game` and `Trial`."""
    config, build = load_config(with_trick(trick)), TrialConfig.build_tricks
    shown: Any = _Shown(config, Trial)
    for kind, knobs in config.active():
        require(not list(kind.check(knobs, shown)), f"{kind.key} finds something wrong")
        for advice in kind.advise(knobs, shown):
            require(isinstance(advice, str), f"{advice!r} is no advice")

    def narrowed(trial: TrialConfig) -> list[Trick]:
        return [_narrowed(part, trial) for part in build(trial)]

    with mock.patch.object(TrialConfig, "build_tricks", narrowed):
        training = Training(config, folder)
        training.run_to(2)
        training.evaluate()


class _Shown:
    """A game or a trial that refuses whatever its interface does not show."""

    def __init__(self, whole: Any, interface: type) -> None:
        self.__dict__.update(_whole=whole, _interface=interface)

    def __getattr__(self, name: str) -> Any:
        shown = {key for key in vars(self._interface) if not key.startswith("_")}
        require(name in shown, f"a trick may not touch {self._interface.__name__}.{name}")
        return getattr(self._whole, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise Broken(f"a trick may not set {self._interface.__name__}.{name}")


def _narrowed(trick: Trick, trial: TrialConfig) -> Trick:
    """The trick, given no more of game and trial than their interfaces."""
    narrow: Any = trick
    narrow.trial = _Shown(trial, Trial)
    for name, hook in vars(Trick).items():
        if inspect.isfunction(hook) and "game" in inspect.signature(hook).parameters:
            setattr(narrow, name, functools.partial(_with_game_shown, getattr(trick, name)))
    return trick


def _with_game_shown(hook: Callable[..., Any], game: Any, *rest: Any) -> Any:
    return hook(_Shown(game, Game), *rest)


@promise("trick")
def has_no_dead_knob(trick: type[Trick], folder: Path) -> None:
    """Every knob changes weights, samples, loss terms or signals, in one mode of the trick."""
    outcomes: dict[str, tuple[Any, ...]] = {}

    def outcome(knobs: Knobs) -> tuple[Any, ...]:
        """Bytes of weights and samples, the loss terms and signals after five steps."""
        key = repr(sorted(knobs.items()))
        if key not in outcomes:
            training = trained(with_trick(trick, knobs), folder / f"run{len(outcomes)}", 5)
            tensors = {k: v.numpy().tobytes() for k, v in tensors_of(training).items()}
            signals = training.game.hooks.signals(training.game)
            outcomes[key] = (tensors, losses_of(training), signals)
        return outcomes[key]

    def stands(knobs: Knobs) -> bool:
        return not problems_of(with_trick(trick, knobs))

    for knob in trick.Config.model_fields:
        pairs = turns(trick.Config, knob, stands)
        first = next(pairs, None)
        if first is None:
            raise Broken(
                f"no other valid value of the knob '{knob}' is known to try: give it `search`, with"
                " values"
            )
        require(
            any(
                outcome(before) != outcome(after)
                for before, after in itertools.chain([first], pairs)
            ),
            f"the knob '{knob}' changes nothing",
        )


@promise("trick")
def takes_two_steps_over_a_reference_batch(trick: type[Trick], folder: Path) -> None:
    """Virtual batch normalisation shows it a batch before `prepare`, where the two go together."""
    mapping = merge(with_trick(trick), VIRTUAL)
    if problems_of(mapping):
        return
    terms = losses_of(trained(mapping, folder, 2))
    require(terms and all(map(math.isfinite, terms.values())), f"its losses are {terms}")
