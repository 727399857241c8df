"""Asking the study for its next trial.

What is asked depends on the sweep and on the study alone. A search that was killed and goes on
asks what it would have asked without that, and so does one whose budget was raised at its end:
the seed of a proposal comes from its place among the search's proposals, not from its number.
What people give comes first, as soon as the base configuration has been asked: the configurations
of `search.try` in their order, then points that are enqueued.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.causes import says_nothing
from sweeper.errors import PartError
from sweeper.search import attributes
from sweeper.search.asked import Asked
from sweeper.search.attributes import TRIED
from sweeper.search.budget import base_point
from sweeper.search.distributions import distribution, to_study
from sweeper.search.enqueued import Unfit, check_honoured, fitting
from sweeper.search.entries import Entries
from sweeper.search.foreign import MARK, REFUSED, foreign_entry
from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.measuring import Measuring
from sweeper.search.repeats import propose_once
from sweeper.search.sampler import Result, Sampler, Turn, mix
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.points import next_tried
from sweeper.sweepfile.space import Draw, apply
from sweeper.sweepfile.ties import with_ties
from sweeper.trial import Role, Trial

if TYPE_CHECKING:
    from sweeper.ablation.design import Design


class Proposer:
    """Hands out the trials of one study. What was measured by another protocol than its present one
    has been tried, and teaches nothing; the cells of an ablation are all due again under it."""

    def __init__(
        self,
        sweep: Sweep,
        study: Study,
        storage: BaseStorage,
        entries: Entries,
        measuring: Measuring,
    ) -> None:
        self.refused: list[ForeignEntry] = []
        """Enqueued points that have been refused since somebody last looked."""
        self._measuring = measuring
        self._sweep = sweep
        self._study = study
        self._storage = storage
        self._entries = entries
        self._asked = Asked()
        self._sampler = Sampler.of(sweep)
        self._design: Design | None = None

    def ask(self) -> Trial | None:
        """The search's next trial; None when the grid has no further point.

        The first is the base configuration, if the sweep starts with it, and so is the first that
        is asked for when another protocol holds: what it is worth is measured again. Then come
        those of `search.try`, and the points that were enqueued.
        """
        own = self._entries.all()
        if self._sweep.is_ablation:
            for entry in self._entries.enqueued():
                self._refuse(entry, "an ablation runs the cells of its design, and nothing else")
            return self._ask_cell(own)
        if self._sweep.search.start_with_base and not self._has_base(own):
            return self._add(*base_point(self._sweep), "base")
        self._asked.see(own)
        if (to_try := next_tried(self._sweep, self._asked.tries)) is not None:
            place, given = to_try
            return self._add(given, given.values, "search", place=place)
        for entry in self._entries.enqueued():
            if (taken := self._take_up(entry, own)) is not None:
                return taken
        draw, turn = self._proposal(self._turn(own))
        return None if draw is None else self._add(draw, draw.values, "search", noted=turn.noted)

    def _has_base(self, own: list[FrozenTrial]) -> bool:
        protocol = self._measuring.protocol
        return any(
            trial.user_attrs.get("role") == "base"
            and attributes.comparable(trial.user_attrs, protocol)
            for trial in own
        )

    def _ask_cell(self, own: list[FrozenTrial]) -> Trial | None:
        """The next run of an ablation; further seeds of a cell belong to its first trial."""
        # Imported here: listings read studies too, and need neither designs nor SciPy.
        from sweeper.search.ablation_trials import cells_due, design_of

        if self._design is None:
            self._design = design_of(self._sweep)
        first: dict[str, int] = {}
        done: set[tuple[str, int]] = set()
        for trial in own:
            attrs = trial.user_attrs
            if not attributes.comparable(attrs, self._measuring.protocol):
                continue
            first.setdefault(attrs["cell"]["key"], attributes.number_of(trial))
            done.add((attrs["cell"]["key"], attrs["values"]["seed"]))
        due = cells_due(self._sweep, self._design, done)
        if not due:
            return None
        cell, seed = due[0]
        values = {**cell.settings, "seed": seed}
        draw = Draw(values, apply(self._sweep.base, with_ties(self._sweep.parameters, values)))
        of = first.get(cell.key)
        role: Role = "search" if of is None else "replicate"
        named = {"label": cell.label, "key": cell.key}
        return self._add(draw, cell.settings, role, of=of, cell=named)

    def ask_replicate(self, of: int, seed: int) -> Trial:
        """A trial that repeats the configuration of trial `of` with another seed."""
        model = attributes.trial_of(self._entries.get(of))
        searched = {path: value for path, value in model.values.items() if path != "seed"}
        config = apply(model.config, {"seed": seed})
        return self._add(Draw({**searched, "seed": seed}, config), searched, "replicate", of=of)

    def finish(self, entry: FrozenTrial) -> None:
        """Finish an entry of the search's own that has no configuration yet."""
        earlier = [other for other in self._entries.all() if other.number != entry.number]
        if "enqueued" in entry.user_attrs:
            self._fill(entry, *self._point(entry, earlier))
            return
        # Begun by version 0.1, which asked in several writes where Optuna drew.
        draw, turn = self._proposal(self._turn(earlier, entry.number))
        assert draw is not None, "what was begun can be finished"
        self._fill(entry, draw, turn.noted)

    def _take_up(self, entry: FrozenTrial, own: Sequence[FrozenTrial]) -> Trial | None:
        """Make an enqueued point a trial of the search; None where it is not to be."""
        try:
            draw, noted = self._point(entry, own)
        except Unfit as error:
            self._refuse(entry, str(error))
            return None
        self._set(entry, "enqueued", True)
        self._entries.mark(entry)
        with suppress(UpdateFinishedTrialError):
            if self._storage.set_trial_state_values(entry._trial_id, TrialState.RUNNING):
                return self._fill(entry, draw, noted)
            self._set(entry, MARK, None)
        return None  # another program has taken it out of the queue in this instant

    def _point(
        self, entry: FrozenTrial, own: Sequence[FrozenTrial]
    ) -> tuple[Draw, Mapping[str, Any]]:
        """The point that an entry without a configuration stands for.

        Raises:
            Unfit: it is none of the space, or the sampler has no use for it.
        """
        values = fitting(self._sweep, entry)
        turn = self._turn(own, entry.number, values)
        draw = self._sampler.honour(turn)
        if draw is None:
            raise Unfit("every matching configuration has been tried already")
        check_honoured(draw, values)
        return draw, turn.noted

    def _fill(self, entry: FrozenTrial, draw: Draw, noted: Mapping[str, Any]) -> Trial:
        """Give an entry what makes it a trial of the search."""
        domains = {parameter.path: parameter.domain for parameter in self._sweep.parameters}
        for path, value in draw.values.items():
            choices = distribution(domains[path])
            internal = choices.to_internal_repr(to_study(domains[path], value))
            with suppress(ValueError):  # as in `_add`
                self._storage.set_trial_param(entry._trial_id, path, internal, choices)
        for key, note in noted.items():
            self._storage.set_trial_system_attr(entry._trial_id, key, note)
        # The configuration last: a trial without it has not been asked yet.
        told = {"role": "search", "values": draw.values, "config": draw.config}
        for key, value in told.items():
            self._set(entry, key, value)
        return attributes.trial_of(self._storage.get_trial(entry._trial_id))

    def _refuse(self, entry: FrozenTrial, reason: str) -> None:
        self._set(entry, REFUSED, reason)
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_state_values(entry._trial_id, TrialState.FAIL)
        self.refused.append(foreign_entry(self._storage.get_trial(entry._trial_id)))

    def _set(self, entry: FrozenTrial, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(entry._trial_id, key, value)

    def _proposal(self, turn: Turn) -> tuple[Draw | None, Turn]:
        """What the sampler proposes, and the turn in which it did.

        Raises:
            PartError: it is no point of the space.
        """
        return propose_once(self._checked, self._sweep, turn)

    def _checked(self, turn: Turn) -> Draw | None:
        draw = self._sampler.propose(turn)
        if draw is not None:
            _check_point(self._sweep, draw, f"the sampler '{self._sampler.key}' proposes")
        return draw

    def _add(
        self,
        draw: Draw,
        searched: Mapping[str, Any],
        role: Role,
        of: int | None = None,
        cell: Mapping[str, str] | None = None,
        noted: Mapping[str, Any] | None = None,
        place: int | None = None,
    ) -> Trial:
        """Put a whole trial into the study with one write; `place` is that in `search.try`."""
        domains = {parameter.path: parameter.domain for parameter in self._sweep.parameters}
        attrs: dict[str, Any] = {"role": role, "values": draw.values, "config": draw.config}
        if place is not None:
            attrs[TRIED] = place
        if of is not None:
            attrs["of"] = of
        if cell is not None:
            attrs["cell"] = dict(cell)
        params = {path: to_study(domains[path], value) for path, value in searched.items()}
        distributions = {path: distribution(domains[path]) for path in searched}
        try:
            entry = self._entries.add(
                attrs, params=params, distributions=distributions, noted=noted or {}
            )
        except ValueError:
            # A database holds a parameter to the choices that it began with: an ablation's factor
            # may have got more levels, and others may have added entries with choices of their own.
            # What a trial is stands in its values.
            entry = self._entries.add(attrs, params={}, distributions={}, noted=noted or {})
        return attributes.trial_of(entry)

    def _turn(
        self,
        own: Sequence[FrozenTrial],
        number: int | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> Turn:
        """The search's next proposal, after these trials of its own: for the entry `number`, where
        there is one already, with its `fixed` values, where it was enqueued."""
        asked, seed = self._asked, self._sweep.search.seed
        asked.see(own)
        protocol = self._measuring.protocol

        def recall() -> list[Result]:
            goal = self._sweep.objective[0]
            return [
                attributes.result(trial, goal, protocol)
                for trial in own
                if trial.user_attrs["role"] == "search"
                and not says_nothing(attributes.cause_of(trial))
                and attributes.comparable(trial.user_attrs, protocol)
                and not attributes.donors(trial.user_attrs)
            ]

        return Turn(
            index=asked.proposals,
            search_seed=seed if fixed is None else mix(seed, "enqueued", number),
            start=None if asked.base is None else asked.base.user_attrs["values"],
            recall=recall,
            study=self._study,
            number=self._entries.count if number is None else number,
            asked=asked.values,
            tried=asked.points,
            own=own,
            fixed=fixed or {},
            protocol=protocol,
        )


def _check_point(sweep: Sweep, draw: object, told: str) -> None:
    """See that what a sampler gave is a point of the space.

    Raises:
        PartError: it is none; the message begins with `told`.
    """
    if not isinstance(draw, Draw):
        raise PartError(f"{told} {draw!r} (expected a Draw, as `walk` makes it, or None)")
    domains = {parameter.path: parameter.domain for parameter in sweep.parameters}
    for path, value in draw.values.items():
        if path not in domains:
            expected = "one of " + ", ".join(domains)
        elif domains[path].contains(value):
            continue
        else:
            words = domains[path].as_dict().items()
            expected = ", ".join(f"{key}: {what}" for key, what in words)
        raise PartError(f"{told} {path} = {value!r} (expected {expected})")
