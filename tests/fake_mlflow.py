"""MLflow as the writer's tests need it: in memory, and as mischievous as a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.tracking.backlog import MetricRow
from sweeper.tracking.inputs import DataInput
from sweeper.tracking.store import Gone, Known, Refused


@dataclass
class FakeRun:
    """A run as MLflow keeps it."""

    run_id: str
    name: str
    started: int
    tags: dict[str, str]
    status: str = "RUNNING"
    active: bool = True
    params: dict[str, str] = field(default_factory=dict)
    metrics: set[tuple[str, int, float, int]] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    data: set[DataInput] = field(default_factory=set)


class FakeStore:
    """MLflow's behaviour in memory, with a say for the test in every call.

    `trouble(action)` is asked twice a call, before it has any effect and after; what it raises is
    what the caller gets. So an answer can be lost after the deed is done.
    """

    def __init__(self) -> None:
        self.uri = "http://fake"
        self.held: dict[str, FakeRun] = {}
        self.tags: dict[str, str] = {}
        self.calls: list[str] = []
        self.well = True
        self.trouble: Callable[[str], None] = lambda action: None

    def experiment(self, name: str) -> str:
        return self._do("experiment", lambda: "1")

    def experiment_tags(self, experiment: str) -> dict[str, str]:
        return self._do("experiment_tags", lambda: dict(self.tags))

    def tag_experiment(self, experiment: str, tags: Mapping[str, str]) -> None:
        self._do("tag_experiment", lambda: self.tags.update(tags))

    def runs(self, experiment: str, study: str, *, running: bool = False) -> list[Known]:
        def look() -> list[Known]:
            return [
                Known(
                    run.run_id,
                    -1 if run.tags["sweeper.trial"] == "sweep" else int(run.tags["sweeper.trial"]),
                    run.status,
                    run.active,
                    run.started,
                    run.run_id,
                    dict(run.tags),
                )
                for run in self.held.values()
                if run.tags["sweeper.study"] == study and (run.status == "RUNNING" or not running)
            ]

        return self._do("runs", look)

    def create(
        self, experiment: str, name: str, tags: Mapping[str, str], started: int
    ) -> tuple[str, str]:
        def make() -> tuple[str, str]:
            run_id = f"run{len(self.held)}"
            self.held[run_id] = FakeRun(run_id, name, started, dict(tags))
            return run_id, run_id

        return self._do("create", make)

    def log(
        self,
        run_id: str,
        params: Sequence[tuple[str, str]],
        tags: Sequence[tuple[str, str]],
        metrics: Sequence[MetricRow],
    ) -> None:
        def note() -> None:
            run = self._run(run_id)
            for key, value in params:
                if run.params.get(key, value) != value:
                    raise Refused(f"param {key} is {run.params[key]} already")
            run.params.update(params)
            run.tags.update(tags)
            run.metrics.update((m.key, m.step, m.value, m.time) for m in metrics)

        self._do("log", note)

    def log_data(self, run_id: str, data: DataInput) -> None:
        self._do("log_data", lambda: self._run(run_id).data.add(data))

    def remove_tag(self, run_id: str, key: str) -> None:
        self._do("remove_tag", lambda: self._run(run_id).tags.pop(key, None))

    def set_status(self, run_id: str, status: str, ended: int | None) -> None:
        self._do("set_status", lambda: setattr(self._run(run_id), "status", status))

    def upload(self, artifact_uri: str, source: Path | bytes, name: str) -> None:
        content = source if isinstance(source, bytes) else source.read_bytes()
        self._do("upload", lambda: self._run(artifact_uri).files.update({name: content}))

    def take_away(self, artifact_uri: str, name: str) -> None:
        self._do("take_away", lambda: self._run(artifact_uri).files.pop(name, None))

    def delete(self, run_id: str) -> None:
        self._do("delete", lambda: setattr(self._run(run_id), "active", False))

    def is_deleted(self, run_id: str) -> bool:
        return not self.held[run_id].active

    def answers(self) -> bool:
        return self.well

    def active(self) -> dict[str, FakeRun]:
        runs = [run for run in self.held.values() if run.active]
        found = {run.tags["sweeper.trial"]: run for run in runs}
        assert len(found) == len(runs), "two runs of one trial"
        return found

    def _run(self, run_id: str) -> FakeRun:
        if run_id not in self.held:
            raise Gone(f"no run {run_id}")
        if not self.held[run_id].active:
            raise Refused(f"run {run_id} is deleted")
        return self.held[run_id]

    def _do(self, action: str, effect: Callable[[], Any]) -> Any:
        self.calls.append(action)
        self.trouble(action)
        result = effect()
        self.trouble(action)
        return result
