"""Making MLflow show what the outbox says: one pass over everything that waits.

A pass goes run by run, and within a run: create it, then its parameters, tags and metrics in
batches, then its files, then its models, its status last, so a run that reads FINISHED is complete.
Whatever happens in between, the next pass goes on where the last note was made.

    for each run that waits, the sweep's own last:
        create, unless MLflow has it      ← `survey` looked for it first
        log batches                       refused? halve the batch, set the culprit aside
        upload files, log models
        set the status
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sweeper.tracking.backlog import Backlog, MetricRow, RunRow
from sweeper.tracking.batches import MAX_METRICS, Item, Param, Tag, batches
from sweeper.tracking.experiment import tags_due
from sweeper.tracking.inputs import data_input
from sweeper.tracking.names import (
    ADDRESS,
    EXPERIMENT_ID,
    PARENT_TAG,
    STUDY_TAG,
    SWEEP,
    TRIAL_TAG,
    USER_TAG,
    trial_tag,
)
from sweeper.tracking.patience import PATIENCE, Patience
from sweeper.tracking.receipts import Receipts
from sweeper.tracking.store import Gone, Known, Refused, Store, Unreachable

_OWN_TAGS = frozenset({STUDY_TAG, TRIAL_TAG, USER_TAG, PARENT_TAG})

LogModel = Callable[[Store, str, str, str, Path], str]
"""(store, experiment id, run id, model's name, trial's folder) → `models:/…` of the generator."""


class _DeletedError(Refused):
    """A user has moved the run to MLflow's bin, which is respected."""


class Sender:
    """Sends the backlog to the store.

    `user` is who the runs are said to be by; `log_model` logs a generator.
    """

    def __init__(self, backlog: Backlog, store: Store, user: str, log_model: LogModel) -> None:
        self._backlog = backlog
        self._store = store
        self._user = user
        self._log_model = log_model
        self._receipts = Receipts(backlog)
        self._patience = Patience(store)
        self._experiment = ""
        self._surveyed = False
        self._sure = False

    def send(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """One pass, cut short as soon as `go_on()` says no.

        Raises:
            Unreachable: it has to be tried again later.
            TrackingError: the outbox cannot be used.
        """
        if self._backlog.run(SWEEP) is None:
            return
        try:
            if not self._sure:
                self._survey()
            waiting = self._backlog.waiting()
            # The sweep's run is the others' parent, so it is made first; its end is said last.
            self._run_id(SWEEP)
            for number in sorted(waiting, key=lambda number: (number == SWEEP, number)):
                if not go_on():
                    return
                self._send_run(number)
        except Gone as error:
            self._surveyed = self._sure = False
            raise Unreachable(str(error)) from error
        except (Refused, Unreachable) as error:
            # A call whose answer was lost may have made a run: look again before making another.
            self._sure = False
            raise Unreachable(str(error)) from error

    def _survey(self) -> None:
        """Compare notes with MLflow: what does it have of this study, and in which status?

        The first time all of it, later only what it says is running: a run that was made without
        our noting it cannot have got further than that.
        """
        self._experiment = self._store.experiment(self._backlog.experiment)
        self._backlog.database.set_meta(EXPERIMENT_ID, self._experiment)
        self._backlog.database.set_meta(ADDRESS, self._store.uri)
        by_number: dict[int, list[Known]] = defaultdict(list)
        for run in self._store.runs(self._experiment, self._backlog.study, running=self._surveyed):
            by_number[run.number].append(run)
        ours = self._backlog.run_ids()
        for number, runs in by_number.items():
            self._settle(number, runs, ours.get(number))
        if not self._surveyed:
            for number in ours.keys() - by_number.keys():
                self._receipts.forget(number)
        self._surveyed = self._sure = True

    def _settle(self, number: int, runs: Sequence[Known], ours: str | None) -> None:
        """One run for this number. Twins, born of an answer that was lost, go to the bin."""
        first, *twins = sorted(
            runs, key=lambda run: (not run.active, run.run_id != ours, run.started, run.run_id)
        )
        for twin in twins:
            if twin.active:
                self._store.delete(twin.run_id)
        if self._backlog.run(number) is None and first.status == "RUNNING" and first.active:
            first = replace(first, status="KILLED")
            self._store.set_status(first.run_id, first.status, None)
        self._receipts.adopt(first)

    def _run_id(self, number: int) -> str:
        """The run of this number, made if need be; for an unknown number it is the sweep's."""
        run = self._backlog.run(number) or self._backlog.run(SWEEP)
        assert run is not None, "the sweep's start is said before anything is sent"
        if run.run_id is not None:
            return run.run_id
        tags = dict(run.tags) | {
            STUDY_TAG: self._backlog.study,
            TRIAL_TAG: trial_tag(run.number),
            USER_TAG: self._user,
        }
        if run.number != SWEEP:
            tags[PARENT_TAG] = self._run_id(SWEEP if run.parent is None else run.parent)
        run_id, artifact_uri = self._store.create(self._experiment, run.name, tags, run.started)
        self._receipts.created(run.number, run_id, artifact_uri, tags)
        return run_id

    def _send_run(self, number: int) -> None:
        try:
            run_id = self._run_id(number)
            run = self._backlog.run(number)
            if run is None:
                return
            if number == SWEEP:
                self._send_experiment()
            tags = self._tags(run)
            self._send_values(run, run_id, tags)
            self._send_data(run, run_id)
            self._send_files(run)
            self._send_models(run, run_id)
            if run.status != run.sent_status:
                self._store.set_status(run_id, run.status, run.ended)
            own = {key: run.sent_tags[key] for key in run.sent_tags.keys() & _OWN_TAGS}
            self._receipts.sent_run(run, own | tags)
        except Gone:
            self._receipts.forget(number)
            raise
        except Refused as error:
            self._receipts.set_aside_run(number, str(error))

    def _send_experiment(self) -> None:
        wanted = self._backlog.experiment_tags
        if not wanted:
            return

        def tag() -> None:
            due = tags_due(wanted, self._store.experiment_tags(self._experiment))
            self._store.tag_experiment(self._experiment, due)

        try:
            self._patience.attempt(SWEEP, "experiment", tag)
        except Refused as error:
            self._receipts.set_aside(SWEEP, "experiment", "tags", str(error))
        self._receipts.sent_experiment(wanted)

    def _tags(self, run: RunRow) -> dict[str, str]:
        """Its tags, and the run that it stands under where that is another than the sweep's: it may
        have been made before anything was known of that one."""
        above = run.parent if run.number != SWEEP else None
        if above is None or self._backlog.run(above) is None:
            return dict(run.tags)
        return {**run.tags, PARENT_TAG: self._run_id(above)}

    def _send_values(self, run: RunRow, run_id: str, tags: Mapping[str, str]) -> None:
        items: list[Item] = [
            *(Param(*item) for item in run.params.items() if item[0] not in run.sent_params),
            *(Tag(*item) for item in tags.items() if run.sent_tags.get(item[0]) != item[1]),
        ]
        while True:
            metrics = self._backlog.metrics(run.number, MAX_METRICS)
            for batch in batches([*items, *metrics]):
                self._send_batch(run.number, run_id, batch, PATIENCE)
                self._receipts.sent_metrics(
                    run.number, [item for item in batch if isinstance(item, MetricRow)]
                )
            items = []
            if len(metrics) < MAX_METRICS:
                break
        for key in run.sent_tags.keys() - run.tags.keys() - _OWN_TAGS:
            self._store.remove_tag(run_id, key)

    def _send_data(self, run: RunRow, run_id: str) -> None:
        data = data_input(run.params, run.tags)
        # A run is made with its tags, so that they count as sent before its data is.
        known = data_input(run.sent_params, run.sent_tags) if run.sent else None
        if data is None or data == known:
            return
        log = partial(self._store.log_data, run_id, data)
        try:
            self._patience.attempt(run.number, f"data {data.name}", log)
        except Refused as error:
            self._receipts.set_aside(run.number, "data", data.name, str(error))

    def _send_batch(self, number: int, run_id: str, batch: Sequence[Item], limit: int) -> None:
        """Log a batch; where MLflow refuses it, halve it until the culprit stands alone."""
        params = [(item.key, item.value) for item in batch if isinstance(item, Param)]
        tags = [(item.key, item.value) for item in batch if isinstance(item, Tag)]
        metrics = [item for item in batch if isinstance(item, MetricRow)]
        log = partial(self._store.log, run_id, params, tags, metrics)
        try:
            self._patience.attempt(number, "batch", log, limit)
        except Refused as error:
            if self._store.is_deleted(run_id):
                raise _DeletedError("its run was deleted in MLflow") from error
            if len(batch) > 1:
                middle = len(batch) // 2
                self._send_batch(number, run_id, batch[:middle], 1)
                self._send_batch(number, run_id, batch[middle:], 1)
                return
            item = batch[0]
            kind = {Param: "param", Tag: "tag", MetricRow: "metric"}[type(item)]
            at = f"@{item.step}" if isinstance(item, MetricRow) else ""
            self._receipts.set_aside(number, kind, item.key + at, str(error))

    def _send_files(self, run: RunRow) -> None:
        for file in self._backlog.files(run.number):
            row = self._backlog.run(run.number)
            root = "" if row is None else row.artifact_uri
            source = file.content if file.path is None else file.path
            send = (
                partial(self._store.take_away, root, file.name)
                if source is None
                else partial(self._store.upload, root, source, file.name)
            )
            try:
                self._patience.attempt(run.number, f"file {file.name}", send)
            except Refused as error:
                # It may have been let go of meanwhile: then that is what waits now.
                if self._backlog.is_as_read(run.number, file):
                    self._receipts.set_aside(run.number, "file", file.name, str(error))
            self._receipts.sent_file(run.number, file)

    def _send_models(self, run: RunRow, run_id: str) -> None:
        for model in self._backlog.models(run.number):
            log = partial(
                self._log_model, self._store, self._experiment, run_id, model.name, model.folder
            )
            uri = ""
            try:
                uri = self._patience.attempt(run.number, f"model {model.name}", log)
            except Refused as error:
                self._receipts.set_aside(run.number, "model", model.name, str(error))
            self._receipts.sent_model(run.number, model, uri)
