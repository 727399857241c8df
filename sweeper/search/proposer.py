"""Asking the study for its next trial.

What is asked depends on the sweep and on the study alone. A search that was killed and goes on
asks what it would have asked without that, and so does one whose budget was raised at its end:
the seed of a proposal comes from its place among the search's trials, not from its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.causes import is_lost
from sweeper.errors import PartError
from sweeper.search import attributes
from sweeper.search.distributions import distribution, to_study
from sweeper.search.entries import Entries
from sweeper.search.measuring import Measuring
from sweeper.search.sampler import Result, Sampler, Turn
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, apply, base_draw, walk
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
        self._measuring = measuring
        self._sweep = sweep
        self._study = study
        self._storage = storage
        self._entries = entries
        self._sampler = Sampler.of(sweep)
        self._design: Design | None = None

    def ask(self) -> Trial | None:
        """The search's next trial; None when the grid has no further point.

        The first is the base configuration, if the sweep starts with it, and so is the first that
        is asked for when another protocol holds: what it is worth is measured anew.
        """
        everything = self._entries.all()
        if self._sweep.is_ablation:
            return self._ask_cell(everything)
        if self._sweep.search.start_with_base and not self._has_base(everything):
            return self._add(*self._base(), "base")
        turn = self._turn(everything)
        draw = self._proposal(turn)
        if draw is None:
            return None
        if turn.trial is not None:
            return self._written(turn.trial, draw)
        return self._add(draw, draw.values, "search")

    def _has_base(self, everything: list[FrozenTrial]) -> bool:
        protocol = self._measuring.protocol
        return any(
            trial.user_attrs.get("role") == "base"
            and attributes.comparable(trial.user_attrs, protocol)
            for trial in everything
        )

    def _ask_cell(self, everything: list[FrozenTrial]) -> Trial | None:
        """The next run of an ablation; further seeds of a cell belong to its first trial."""
        # Imported here: listings read studies too, and need neither designs nor SciPy.
        from sweeper.search.ablation_trials import cells_due, design_of

        if self._design is None:
            self._design = design_of(self._sweep)
        first: dict[str, int] = {}
        done: set[tuple[str, int]] = set()
        for trial in everything:
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
        draw = Draw(values, apply(self._sweep.base, values))
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

    def redraw(self, trial: FrozenTrial) -> Trial:
        """Finish asking a trial that was given a number but no configuration."""
        earlier = [entry for entry in self._entries.all() if entry.number < trial.number]
        turn = self._turn(earlier, unfinished=trial._trial_id)
        draw = self._proposal(turn)
        assert draw is not None, "what was begun can be finished"
        assert turn.trial is not None, "only samplers of Optuna's ask in several writes"
        return self._written(turn.trial, draw)

    def _proposal(self, turn: Turn) -> Draw | None:
        """What the sampler proposes.

        Raises:
            PartError: it is no point of the space.
        """
        draw = self._sampler.propose(turn)
        told = f"the sampler '{self._sampler.key}' proposes"
        if draw is None:
            return None
        if not isinstance(draw, Draw):
            raise PartError(f"{told} {draw!r} (expected a Draw, as `walk` makes it, or None)")
        if turn.trial is None:  # Optuna keeps its own to the space
            domains = {parameter.path: parameter.domain for parameter in self._sweep.parameters}
            for path, value in draw.values.items():
                if path not in domains:
                    expected = "one of " + ", ".join(domains)
                elif domains[path].contains(value):
                    continue
                else:
                    words = domains[path].as_dict().items()
                    expected = ", ".join(f"{key}: {what}" for key, what in words)
                raise PartError(f"{told} {path} = {value!r} (expected {expected})")
        return draw

    @property
    def budget(self) -> int | None:
        """How many trials the search will have; None where nothing limits them."""
        if not self._sampler.ends:
            return self._sweep.limits.trials
        return self._sampler.count(self._base_stands_beside())

    def _base_stands_beside(self) -> bool:
        """Whether the search begins with a base configuration that is no point of its space."""
        searched = bool(self._sweep.parameters) and self._sweep.search.start_with_base
        return searched and not self._base()[1]

    def _base(self) -> tuple[Draw, Mapping[str, Any]]:
        draw = base_draw(self._sweep)
        try:
            whole = walk(self._sweep, lambda parameter: draw.values[parameter.path])
        except KeyError:
            # Some value of the base lies outside the space: the trial stands beside it.
            return Draw({}, draw.config), {}
        return Draw(whole.values, draw.config), whole.values

    def _add(
        self,
        draw: Draw,
        searched: Mapping[str, Any],
        role: Role,
        of: int | None = None,
        cell: Mapping[str, str] | None = None,
    ) -> Trial:
        """Put a whole trial into the study with one write."""
        domains = {parameter.path: parameter.domain for parameter in self._sweep.parameters}
        attrs: dict[str, Any] = {"role": role, "values": draw.values, "config": draw.config}
        if of is not None:
            attrs["of"] = of
        if cell is not None:
            attrs["cell"] = dict(cell)
        params = {path: to_study(domains[path], value) for path, value in searched.items()}
        distributions = {path: distribution(domains[path]) for path in searched}
        try:
            trial_id = self._create(attrs, params, distributions)
        except ValueError:
            # A database holds a factor to the levels that it began with. Nobody samples an
            # ablation, and what a trial is stands in its values.
            if not self._sweep.is_ablation:
                raise
            trial_id = self._create(attrs, {}, {})
        return attributes.trial_of(self._storage.get_trial(trial_id))

    def _create(
        self,
        attrs: dict[str, Any],
        params: dict[str, Any],
        distributions: dict[str, BaseDistribution],
    ) -> int:
        template = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=distributions,
            value=None,
            user_attrs=attrs,
        )
        return self._storage.create_new_trial(self._study._study_id, template)

    def _written(self, trial: optuna.Trial, draw: Draw) -> Trial:
        """Complete a trial that Optuna drew."""
        trial.set_user_attr("role", "search")
        trial.set_user_attr("values", draw.values)
        # The configuration last: a trial without it has not been asked yet.
        trial.set_user_attr("config", draw.config)
        return attributes.trial_of(self._storage.get_trial(trial._trial_id))

    def _turn(self, earlier: Sequence[FrozenTrial], unfinished: int | None = None) -> Turn:
        """The search's next proposal, after these trials of the study."""
        roles = [trial.user_attrs.get("role") for trial in earlier]
        start = earlier[0].user_attrs["values"] if roles[:1] == ["base"] else None

        protocol = self._measuring.protocol

        def recall() -> list[Result]:
            goal = self._sweep.objective[0]
            return [
                attributes.result(trial, goal, protocol)
                for trial, role in zip(earlier, roles, strict=True)
                if role == "search"
                and not is_lost(attributes.cause_of(trial))
                and attributes.comparable(trial.user_attrs, protocol)
            ]

        return Turn(
            index=roles.count("search"),
            search_seed=self._sweep.search.seed,
            start=start,
            recall=recall,
            study=self._study,
            protocol=protocol,
            unfinished=unfinished,
        )
