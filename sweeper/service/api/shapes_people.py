"""People, their tokens and what they did, as the API tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from sweeper.service.api.shape import Asked, Line, Number, Plain, Shape

if TYPE_CHECKING:
    from sweeper.service.state.tables import Audit, Person, Token

ScopeWord = Literal["read", "submit", "admin"]


class PersonShape(Shape):
    """Somebody, with the limits over all of their sweeps; null is no limit."""

    name: str
    weight: float
    """Share of the cluster, against the weights of the others who want it."""
    max_parallel: int | None
    """Trials at the same time."""
    max_gpus: Number
    gpu_hours_month: Number
    created: Number
    gpu_hours: Number
    """Used in the last thirty days."""

    @classmethod
    def of(cls, person: Person, gpu_hours: float) -> Self:
        """That of a row."""
        names = ("name", "weight", "max_parallel", "max_gpus", "gpu_hours_month", "created")
        return cls(**{name: getattr(person, name) for name in names}, gpu_hours=gpu_hours)


class TokenShape(Shape):
    """A token. What it says is known to nobody but its owner."""

    id: str
    name: str
    scope: ScopeWord
    created: Number
    expires: Number
    revoked: Number
    used: Number
    """When it was last used, to the minute."""

    @classmethod
    def of(cls, token: Token) -> Self:
        """That of a row."""
        return cls.model_validate(token)


class MadeShape(TokenShape):
    """A new token."""

    token: str
    """What it says: shown this once."""

    @classmethod
    def made(cls, token: Token, words: str) -> Self:
        """That of a row, with its words."""
        return cls(**TokenShape.of(token).model_dump(), token=words)


class MeShape(Shape):
    """Who asks, and with what."""

    person: PersonShape
    token: TokenShape


class TokenAsked(Asked):
    """A token to be made. It may no more than the one that asks, and does not outlive it."""

    name: Line = Field(min_length=1, examples=["laptop"])
    scope: ScopeWord = "read"
    days: float | None = Field(default=None, gt=0, lt=36500)
    """How long it lasts; null: until it is revoked."""
    person: Line | None = None
    """For whom, by an admin; null: for who asks."""


class PersonAsked(Asked):
    """Somebody new."""

    name: Line = Field(min_length=1, max_length=100)


class QuotasAsked(Asked):
    """What is to be another; what is left out stays as it is, null is no limit."""

    weight: float = Field(default=1.0, ge=0.01, le=100)
    max_parallel: int | None = Field(default=None, ge=0, le=1_000_000)
    max_gpus: float | None = Field(default=None, ge=0, le=1_000_000)
    gpu_hours_month: float | None = Field(default=None, ge=0, le=1e9)

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return self.model_dump(include=self.model_fields_set)


class DeedShape(Shape):
    """What somebody did."""

    id: int
    time: Number
    person: str
    """Empty where it was done on the server's own machine."""
    token_id: str | None
    address: str
    action: str
    target: str
    detail: Plain

    @classmethod
    def of(cls, row: Audit) -> Self:
        """That of a row."""
        return cls.model_validate(row)


class DeedPage(Shape):
    """Some of what was done, newest first."""

    items: list[DeedShape]
    next: str | None
    """The `cursor` of the next page; null on the last."""
