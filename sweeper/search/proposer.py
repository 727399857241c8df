"""Asking the study for its next trial.

What is asked depends on the sweep and on the study alone. A search that was killed and goes on
asks what it would have asked without that, and so does one whose budget was raised at its end:
the seed of a proposal comes from its place among the search's trials, not from its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.causes import is_lost
from sweeper.search import attributes, modelled, proposals
from sweeper.search.distributions import distribution, from_study, suggest, to_study
from sweeper.sweepfile.domains import Parameter
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Choose, Draw, apply, base_draw, cells, walk
from sweeper.trial import Role, Trial

if TYPE_CHECKING:
    from sweeper.ablation.designs import Design

MODELLED = ("tpe", "gp", "nsga2")


class Proposer:
    """Hands out the trials of one study."""

    def __init__(self, sweep: Sweep, study: Study, storage: BaseStorage) -> None:
        self._sweep = sweep
        self._study = study
        self._storage = storage
        self._seen = modelled.impression(study, sweep) if sweep.search.sampler in MODELLED else None
        self._cells: Iterator[Draw] = iter(())
        self._next_cell = 0
        self._design: Design | None = None
        self._tried: set[tuple[str, int]] = set()

    def ask(self) -> Trial | None:
        """The search's next trial; None when the grid has no further cell.

        The first is the base configuration, if the sweep starts with it.
        """
        everything = self._study.get_trials(deepcopy=False)
        if self._sweep.is_ablation:
            return self._ask_cell(everything)
        if self._sweep.search.start_with_base and not everything:
            return self._add(*self._base(), "base")
        index = sum(trial.user_attrs.get("role") == "search" for trial in everything)
        if self._seen is not None:
            self._seen.look(self._sampler(index))
            return self._draw(self._seen.ask(), index)
        if self._sweep.search.sampler == "grid":
            draw = self._cell(index, everything)
        else:
            draw = walk(self._sweep, self._pointwise(index, everything))
        return None if draw is None else self._add(draw, draw.values, "search")

    def _ask_cell(self, everything: list[FrozenTrial]) -> Trial | None:
        """The next run of an ablation; further seeds of a cell belong to its first trial.

        A run whose worker died is asked for again, but only once by each driver: where the machine
        cannot hold the configuration, its worker would die for ever.
        """
        # Imported here: listings read studies too, and need neither designs nor SciPy.
        from sweeper.search.ablation_trials import cells_due, design_of

        if self._design is None:
            self._design = design_of(self._sweep)
        first: dict[str, int] = {}
        done = set(self._tried)
        for trial in everything:
            attrs = trial.user_attrs
            first.setdefault(attrs["cell"]["key"], trial.number)
            if not is_lost(attributes.cause_of(trial)):
                done.add((attrs["cell"]["key"], attrs["values"]["seed"]))
        due = cells_due(self._sweep, self._design, done)
        if not due:
            return None
        cell, seed = due[0]
        self._tried.add((cell.key, seed))
        values = {**cell.settings, "seed": seed}
        draw = Draw(values, apply(self._sweep.base, values))
        of = first.get(cell.key)
        role: Role = "search" if of is None else "replicate"
        named = {"label": cell.label, "key": cell.key}
        return self._add(draw, cell.settings, role, of=of, cell=named)

    def ask_replicate(self, of: int, seed: int) -> Trial:
        """A trial that repeats the configuration of trial `of` with another seed."""
        model = attributes.trial_of(self._study.get_trials(deepcopy=False)[of])
        searched = {path: value for path, value in model.values.items() if path != "seed"}
        config = apply(model.config, {"seed": seed})
        return self._add(Draw({**searched, "seed": seed}, config), searched, "replicate", of=of)

    def redraw(self, trial: FrozenTrial) -> Trial:
        """Finish asking a trial that was given a number but no configuration."""
        earlier = self._study.get_trials(deepcopy=False)[: trial.number]
        index = sum(one.user_attrs.get("role") == "search" for one in earlier)
        assert self._seen is not None, "only model-based samplers ask in several writes"
        self._seen.look(self._sampler(index))
        return self._draw(optuna.Trial(self._seen, trial._trial_id), index)

    @property
    def base_stands_beside(self) -> bool:
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
        known = {path: distribution(domains[path]) for path in searched}
        try:
            trial_id = self._create(attrs, params, known)
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

    def _draw(self, trial: optuna.Trial, index: int) -> Trial:
        seen = self._seen
        assert seen is not None, "only model-based samplers ask in several writes"
        # What is drawn jointly comes first. What is not has a seed of its own each, so that a
        # second attempt at this trial needs nothing that the first one drew already.
        jointly = trial.relative_params

        def choose(parameter: Parameter) -> Any:
            if parameter.path not in jointly:
                seen.sampler = self._sampler(index, parameter.path)
            stored = suggest(trial, parameter.path, distribution(parameter.domain))
            return from_study(parameter.domain, stored)

        draw = walk(self._sweep, choose)
        trial.set_user_attr("role", "search")
        trial.set_user_attr("values", draw.values)
        # The configuration last: a trial without it has not been asked yet.
        trial.set_user_attr("config", draw.config)
        return attributes.trial_of(self._storage.get_trial(trial._trial_id))

    def _sampler(self, *place: object) -> BaseSampler:
        return modelled.sampler(self._sweep, proposals.mix(self._sweep.search.seed, *place))

    def _pointwise(self, index: int, everything: list[FrozenTrial]) -> Choose:
        if self._sweep.search.sampler == "qmc":
            return proposals.sequence_point(self._sweep, index)
        if self._sweep.search.sampler == "cmaes":
            goal = self._sweep.objective[0]
            roles = [trial.user_attrs.get("role") for trial in everything]
            results = [
                attributes.result(trial, goal)
                for trial, role in zip(everything, roles, strict=True)
                if role == "search" and not is_lost(attributes.cause_of(trial))
            ]
            start = everything[0].user_attrs["values"] if roles[:1] == ["base"] else {}
            return proposals.evolved_point(self._sweep, index, start, results)
        return proposals.random_point(self._sweep, index)

    def _cell(self, index: int, everything: list[FrozenTrial]) -> Draw | None:
        """The grid's cell at `index`, not counting the one that is the base configuration."""
        if index < self._next_cell or self._next_cell == 0:
            self._cells, self._next_cell = cells(self._sweep), 0
        base = [
            trial.user_attrs["values"]
            for trial in everything[:1]
            if trial.user_attrs["role"] == "base"
        ]
        for draw in self._cells:
            if draw.values in base:
                continue
            self._next_cell += 1
            if self._next_cell == index + 1:
                return draw
        return None
