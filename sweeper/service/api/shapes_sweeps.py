"""Sweeps as the API tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from sweeper.service.api.shape import Asked, Line, Number, Plain, Shape, Text
from sweeper.service.states import Priority, SweepState, Wanted

if TYPE_CHECKING:  # clients read these shapes, too, and have no database
    from sweeper.service.state.accounts import Caller
    from sweeper.service.state.sweeps import Entry
    from sweeper.service.state.tables import Driver, Order


class DriverShape(Shape):
    """The process that runs a sweep, as it last said of itself."""

    attempt: int
    """How many drivers the sweep has had, this one included."""
    begun: Number
    heartbeat: Number
    """When it last said that it lives, in Unix seconds."""
    host: str
    phase: str
    at_work: int
    """Trials at work now."""
    over: int
    """Trials that are over, confirmation included."""
    budget: int | None
    """Trials that there will be before any confirmation; null while that is not known."""
    best: Plain
    """The winner so far: metric, value, trial, and in words."""
    gpu_seconds: Number
    cpu_seconds: Number
    forecast: Plain
    """How much more it will need, as it knows from the trials that are over."""
    outcome: str | None
    """How it ended, `no_space` where a disk was full; null while it lasts."""
    message: str
    ended: Number

    @classmethod
    def of(cls, driver: Driver) -> Self:
        """That of a row."""
        return cls.model_validate(driver)


class SweepShape(Shape):
    """A sweep: what its owner wants, what it does, and why not more."""

    id: str
    name: str
    owner: str
    description: str
    priority: Priority
    wanted: Wanted
    """What its owner wants of it."""
    state: SweepState
    """What it does."""
    since: Number
    """When it came into its state, in Unix seconds."""
    created: Number
    asked: Number
    """When its owner last said what is wanted."""
    ended: Number
    parallel: int
    """How many trials it may run at the same time now."""
    reason: str
    """Why it does not run more than it does; empty where nothing holds it up."""
    place: int | None
    """How many are before it in the queue; null where it does not wait."""
    expected: Number
    """About when it gets its turn, in Unix seconds."""
    message: str
    metrics: list[str]
    """What is optimised, by name; the first decides."""
    goals: list[str]
    """Which way is better by each of them: minimize or maximize."""
    limits: Plain
    resources: Plain
    is_ablation: bool
    driver: DriverShape | None
    """Null before it was first started."""
    may_change: bool
    """Whether the token that asks may change it."""

    @classmethod
    def of(cls, entry: Entry, caller: Caller) -> Self:
        """A sweep as this caller sees it."""
        return cls(**_facts(entry, caller))


class SweepDetail(SweepShape):
    """A sweep with its file."""

    spec: Plain
    """The sweep file with every default."""
    options: Plain
    """What its next driver is asked to do once: retry_failed, accept_protocol. Gone when done."""
    parameters: list[str]
    """The dotted paths that it varies."""

    @classmethod
    def of(cls, entry: Entry, caller: Caller) -> Self:
        """A sweep as this caller sees it."""
        spec = entry.sweep.spec
        return cls(
            **_facts(entry, caller),
            spec=spec,
            options=entry.sweep.options,
            parameters=list(spec.get("parameters", {})),
        )


class SweepPage(Shape):
    """Some sweeps."""

    items: list[SweepShape]
    next: str | None
    """The `cursor` of the next page; null on the last."""


class SubmittedShape(Shape):
    """A sweep that is in the queue."""

    id: str
    name: str
    owner: str
    created: float
    priority: Priority


class MoreAsked(Asked):
    """Limits that are to be raised; null takes one away, what is left out stays as it is."""

    trials: int | None = Field(default=None, ge=1, le=1_000_000, examples=[50])
    parallel: int | None = Field(default=None, ge=1, le=10_000)
    failed: int | None = Field(default=None, ge=1, le=1_000_000)
    hours: float | None = Field(default=None, gt=0, le=1e6)
    gpu_hours: float | None = Field(default=None, gt=0, le=1e9)
    cpu_hours: float | None = Field(default=None, gt=0, le=1e9)

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return self.model_dump(include=self.model_fields_set)


class LimitsAsked(MoreAsked):
    """Limits of a sweep; null takes one away, what is left out stays as it is."""

    landing: Literal["finish", "evaluation"] | None = None
    """What becomes of trials that run when hours are used up."""
    trial_silence: Literal["auto"] | Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Seconds without an evaluation after which a trial hangs."""


class ChangesAsked(Asked):
    """What is to be another; what is left out stays as it is."""

    limits: LimitsAsked | None = None
    priority: Priority | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None


class ForkAsked(Asked):
    """A new sweep, made of one that is there."""

    name: Line
    """Its name."""
    set: list[Line] = Field(default=[], max_length=100, examples=[["limits.trials=5"]])
    """Single values laid over the file, as `sweeper run --set` does."""
    priority: Priority = "normal"


class OrderShape(Shape):
    """What somebody asked of one trial."""

    id: str
    kind: str
    """stop, retry or enqueue."""
    number: int | None
    """The trial; null for a configuration that is to be one."""
    payload: Plain
    reason: str
    created: Number
    done: Number
    """When the driver saw to it; null while it waits."""
    outcome: str
    """What came of it, in words."""

    @classmethod
    def of(cls, order: Order) -> Self:
        """That of a row."""
        return cls.model_validate(order)


def _facts(entry: Entry, caller: Caller) -> dict[str, Any]:
    from sweeper.service.people.permission import may_change

    sweep, lease, spec = entry.sweep, entry.lease, entry.sweep.spec
    objectives = spec.get("objective", [])
    return {
        **{key: getattr(sweep, key) for key in ("id", "name", "description", "priority")},
        **{key: getattr(sweep, key) for key in ("wanted", "created", "asked")},
        **{key: getattr(lease, key) for key in ("state", "since", "ended", "parallel")},
        **{key: getattr(lease, key) for key in ("reason", "place", "expected")},
        "message": lease.message or (entry.driver.message if entry.driver else ""),
        "owner": entry.owner.name,
        "metrics": [objective["metric"] for objective in objectives],
        "goals": [objective["goal"] for objective in objectives],
        "limits": spec.get("limits", {}),
        "resources": spec.get("resources", {}),
        "is_ablation": "ablation" in spec,
        "driver": DriverShape.of(entry.driver) if entry.driver else None,
        "may_change": may_change(caller, entry),
    }
