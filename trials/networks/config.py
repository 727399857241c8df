"""What a file may say about the networks: a family for each player, and that family's knobs.

Silence about a family is decided when the section is read, so that what is recorded has every
default written down. `trials.networks.build.plan_networks` turns the section into a plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator

from trials.by_name import ByName, named, open_to_null
from trials.networks.family import Family
from trials.part import Part, unknown_name
from trials.problems import Problem
from trials.settings import Settings
from trials.validation import failure

Player = Literal["generator", "discriminator"]
PLAYERS: tuple[Player, ...] = ("generator", "discriminator")

USUAL = {"image": "dcgan", "point": "mlp"}
"""The family that `auto` is, by what the data are."""

Knobs = Mapping[str, Mapping[str, Any]]
"""Player → knobs."""


class FamilyOf(ByName):
    """The family of one player, with its knobs."""

    def __init__(self, player: Player) -> None:
        super().__init__(Family, tag="family", config=f"{player.capitalize()}Knobs")

    def options(self) -> Mapping[str, type[Part]]:
        return {
            key: family
            for key, family in Family.all().items()
            if getattr(family, self.config) is not None
        }

    def __get_pydantic_json_schema__(
        self, schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        options = self.options()
        forms = []
        for key, family in options.items():
            form = named(self.resolved(handler, family), key, self.tag)
            # Without a family of its own the player has that of the section, which may be any.
            form["properties"][self.tag] = {"enum": ["auto", key], "description": family.summary}
            form["required"] = [name for name in form["required"] if name != self.tag]
            forms.append(open_to_null(form))
        return {"anyOf": [{"enum": ["auto", *options]}, *forms, {"type": "null"}]}


def _list_families(schema: dict[str, Any]) -> None:
    schema["enum"] = ["auto", *_families_of_both()]


class NetworksConfig(Settings):
    """Both networks."""

    family: str = Field(
        default="auto",
        description="of both players, unless one names its own; auto: dcgan for images, mlp for "
        "points",
        json_schema_extra=_list_families,
    )
    generator: Annotated[Any, FamilyOf("generator")] = Field(
        default="auto", description="the generator: its family, and that family's knobs"
    )
    discriminator: Annotated[Any, FamilyOf("discriminator")] = Field(
        default="auto", description="the discriminator: its family, and that family's knobs"
    )

    @model_validator(mode="before")
    @classmethod
    def _every_player_has_a_family(cls, given: Any) -> Any:
        return settled(given, "image") if isinstance(given, Mapping) else given


def settled(given: Mapping[str, Any], items: str, brought: Sequence[Knobs] = ()) -> dict[str, Any]:
    """The section with all that it leaves open decided.

    `items` is `image` or `point`. `brought` are knobs that the loss, the task and the
    tricks bring where the file says nothing.

    Raises:
        ValidationError: a family that does not exist, or that no player has.
    """
    usual = given.get("family")
    if usual is None or usual == "auto":
        usual = USUAL[items]
    if usual not in _families_of_both():
        raise failure([unknown_name("family", usual, Family.kind, _families_of_both())], usual)
    made = {**given, "family": usual}
    for player in PLAYERS:
        ours = [knobs[player] for knobs in brought if player in knobs]
        made[player] = _player(player, given.get(player), usual, ours)
    families = [made[p].get("family") for p in PLAYERS if isinstance(made[p], Mapping)]
    if given.get("family") == usual and len(families) == 2 and usual not in families:
        problem = "is the family of neither player: both name their own"
        raise failure([Problem("family", problem, " or ".join(map(str, families)))], usual)
    return made


def _player(player: Player, given: Any, usual: str, brought: Sequence[Mapping[str, Any]]) -> Any:
    """One player's section with its family named, and the knobs that are brought filled in."""
    if given is None or isinstance(given, str):
        given = {"family": given}
    if not isinstance(given, Mapping):
        return given
    made = dict(given)
    if made.get("family") in (None, "auto"):
        made["family"] = next((knobs["family"] for knobs in brought if "family" in knobs), usual)
    config = getattr(Family.all().get(str(made["family"])), FamilyOf(player).config, None)
    for name, value in ((name, value) for knobs in brought for name, value in knobs.items()):
        if config is not None and name in config.model_fields and made.get(name) is None:
            made[name] = value
    return made


def _families_of_both() -> list[str]:
    """The families that both players can have."""
    return [
        key
        for key, family in Family.all().items()
        if family.GeneratorKnobs is not None and family.DiscriminatorKnobs is not None
    ]
