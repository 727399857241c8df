"""What MLflow does not have yet, and what it will never take: the outbox read as a balance."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sweeper.tracking.database import Database
from sweeper.tracking.names import EXPERIMENT_TAGS, SENT_EXPERIMENT_TAGS, SWEEP, trial_tag
from sweeper.wording import plural

_WAITING = """
WITH known AS (SELECT number FROM runs WHERE announced = 1),
     waiting AS (
        SELECT number, 1 AS facts FROM runs WHERE sent < revision
        UNION ALL SELECT number, count(*) FROM metrics WHERE sent = 0 GROUP BY number
        UNION ALL SELECT number, count(*) FROM files WHERE sent < revision GROUP BY number
        UNION ALL SELECT number, count(*) FROM models WHERE sent < revision GROUP BY number
     )
SELECT number, sum(facts) FROM waiting JOIN known USING (number) GROUP BY number ORDER BY number
"""


@dataclass(frozen=True)
class Failure:
    """Something that MLflow refused for good. It was set aside, and the rest went on."""

    number: int
    kind: str
    """run, experiment, param, tag, metric, data, file or model."""
    key: str
    error: str

    def __str__(self) -> str:
        return f"{trial_tag(self.number)}: {self.kind} {self.key!r}: {self.error}"


@dataclass(frozen=True)
class Left:
    """What MLflow does not have at one moment. Falsy when there is nothing to say."""

    pending: int
    """Facts that are still in the outbox."""
    failures: tuple[Failure, ...]
    """What MLflow refused for good, oldest first; it is not sent again."""
    error: str
    """Why MLflow cannot be reached at the moment; empty while all is well."""

    def __bool__(self) -> bool:
        return bool(self.pending or self.failures)

    def advice(self, name: str) -> str:
        """What to tell the user of sweep `name`, with the flag of its home where it needs one;
        several lines, empty when all has arrived."""
        lines = []
        if self.pending:
            reason = f" ({self.error})" if self.error else ""
            lines.append(
                f"{_records(self.pending)} not in MLflow yet{reason}. Nothing is lost: "
                f"`sweeper sync {name}` sends them, and so does running the sweep file again."
            )
        if self.failures:
            lines.append(f"MLflow has refused for good {plural(len(self.failures), 'record')}:")
            lines.extend(f"  {failure}" for failure in self.failures[:10])
            if len(self.failures) > 10:
                lines.append(f"  … and {len(self.failures) - 10} more")
        return "\n".join(lines)


def _records(count: int) -> str:
    return f"{plural(count, 'record')} {'is' if count == 1 else 'are'}"


def left_in(database: Database) -> Left:
    """What is left in an open outbox.

    Raises:
        TrackingError: the file cannot be read.
    """
    with database.reading() as connection:
        failures = connection.execute(
            "SELECT number, kind, key, error FROM failures ORDER BY time, number, kind, key"
        ).fetchall()
    return Left(
        pending=sum(facts_waiting(database).values()),
        failures=tuple(Failure(*row) for row in failures),
        error=database.meta("error"),
    )


def waiting(outbox: Path) -> Left:
    """What is left in the outbox at this path, without taking it over.

    Raises:
        TrackingError: the file cannot be read.
    """
    with closing(Database(outbox)) as database:
        return left_in(database)


def facts_waiting(database: Database) -> dict[int, int]:
    """Numbers of the runs of which MLflow does not know everything yet → how many facts it lacks.

    A fact is a run's own row, a metric's value at a step, a file, a model, or what is said of the
    experiment, which belongs to the sweep's run. Numbers ascend.

    Raises:
        TrackingError: the file cannot be read.
    """
    with database.reading() as connection:
        waiting = {int(number): int(facts) for number, facts in connection.execute(_WAITING)}
    if database.meta(EXPERIMENT_TAGS) != database.meta(SENT_EXPERIMENT_TAGS):
        waiting[SWEEP] = waiting.get(SWEEP, 0) + 1
    return dict(sorted(waiting.items()))
