"""The suite that other people's parts are held to finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sweeper.testing import Broken, PartSuite, check_part
from trials import catalogue
from trials.part import PartConfig, knob, temporary_parts
from trials.trick import Trick


class Dimmed(Trick):
    """Defined at module level, as other people's parts are; known inside its tests only."""

    group = "judgement"
    summary = "multiplies the contrast"
    formula = "c x"
    paper = "none"

    class Config(PartConfig):
        factor: float = knob(0.5, "c", gt=0, search={"min": 0.25, "max": 1.0})

    def see(self, game: Any, images: Any, real: bool) -> Any:
        return self.config.factor * images


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    with temporary_parts():
        yield


def test_a_sound_trick_keeps_every_promise() -> None:
    class Sound(Dimmed):
        key = "sound"

    check_part(Sound)


def test_a_trick_that_breaks_several_promises_is_told_of_each() -> None:
    class Careless(Dimmed):
        key = "careless"
        paper = ""
        summary = ""

        class Config(PartConfig):
            factor: float = knob(0.5, "c", gt=0, lt=1, search={"min": 0.25, "max": 2.0})
            dead: int = knob(3, "")

        seen = 0  # what it remembers and does not save

        def see(self, game: Any, images: Any, real: bool) -> Any:
            self.seen += 1
            return self.config.factor * images + 0.01 * self.seen

    with pytest.raises(Broken) as caught:
        check_part(Careless)
    told = str(caught.value).splitlines()
    assert told[0] == "trick 'careless'"
    openings = [line.strip().partition(":")[0] for line in told[1:]]
    assert openings == [
        "says what it is",
        "searches values that it takes",
        "says where it comes from",
        "trains finite and resumes bit for bit",
        "trains and resumes in half the bits",
        "says whether a step with it can be captured",
        "has no dead knob",
    ]


def test_a_dead_knob_is_found() -> None:
    class Idle(Dimmed):
        key = "idle"

        class Config(PartConfig):
            factor: float = knob(0.5, "c", gt=0)
            dead: int = knob(3, "what nothing reads")

    with pytest.raises(Broken, match="the knob 'dead' changes nothing"):
        check_part(Idle)


class TestOneAsAnotherPersonWould(PartSuite):
    part = catalogue.tricks()["label_smoothing"]
