"""A sweep from Python: run it, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.bucket.copies import bring_all
from sweeper.causes import to_retry
from sweeper.home import Home, SweepFolder
from sweeper.permissions import private
from sweeper.provenance.run_record import Start
from sweeper.scheduling.lasting import run_lasting
from sweeper.scheduling.recording.events import Listener, Outcome, SweepState
from sweeper.scheduling.working.trainable import Factory
from sweeper.search.looking import sweep_of
from sweeper.search.reader import read_study
from sweeper.standings import Standings, standings_of
from sweeper.standings.against_base import AgainstBase, against_base
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile.absolute import with_absolute_paths
from sweeper.sweepfile.load import load_sweep
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Trial
from sweeper.wording import number, plural

if TYPE_CHECKING:
    import pandas as pd

    from sweeper.ablation.tables import Table
    from sweeper.report import ReportPaths


@dataclass(frozen=True, repr=False)
class SweepResult:
    """How a run of a sweep ended, and what it left.

    `state`: `finished`, or why not: `incomplete` (trials came to nothing through no fault of
    their own), `stopped` (a limit or a request), `cancelled`, `interrupted`, `failed`; all of
    these go on when the sweep is run again. `standings` are its trials in their places.
    """

    state: SweepState
    message: str
    folder: Path
    standings: Standings
    files: ReportPaths
    tables: tuple[Table, ...]
    exit_code: int

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials of the sweep, by number."""
        return self.standings.trials

    def __str__(self) -> str:
        """How it ended in a few lines, for `print` and notebooks."""
        standings = self.standings
        over = plural(sum(trial.over for trial in self.trials), "trial")
        lines = [f"{standings.sweep.name}: {self.state}, {over}"]
        if self.best is not None and standings.best is not None:
            value = f"{standings.metrics[0]} {number(standings.best.value)}"
            lines.append(f"best     {self.best.cell or f'trial {self.best.name}'}, {value}")
        if self.verdict:
            lines.append(f"verdict  {self.verdict}")
        if self.message:
            lines.append(self.message)
        return "\n".join([*lines, f"report   {self.report}"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.standings.sweep.name}: {self.state}>"

    @property
    def best(self) -> Trial | None:
        """The winner: by fresh seeds, where any were run, else by the search. Of an ablation the
        run that stands for its best cell."""
        return self.standings.best.trial if self.standings.best else None

    @cached_property
    def against_base(self) -> AgainstBase | None:
        """The winner against the base configuration, with intervals over paired fresh seeds; None
        where there is no base with a value, and for an ablation."""
        return against_base(self.standings)

    @property
    def verdict(self) -> str:
        """The same in one sentence: `confirmed: trial 00007 beats the base configuration, …`."""
        return verdict_in_words(self.standings)

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.files.html

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a trial, in order of numbers: role, state, objective, symptom, parameters."""
        from sweeper.results import table_of

        frame: pd.DataFrame = table_of(self.standings).to_pandas()
        return frame

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        return {
            "state": self.state,
            "message": self.message,
            "folder": str(self.folder),
            "report": str(self.report),
            "best": self.best.as_dict() if self.best else None,
            "verdict": self.verdict,
            "against_base": self.against_base.as_dict() if self.against_base else None,
            "trials": [trial.as_dict() for trial in self.trials],
        }


def run(
    sweep: Sweep | Path | str | Mapping[str, Any],
    *,
    home: Path | str | None = None,
    listener: Listener | None = None,
    source: Path | None = None,
    factory: Factory | None = None,
    adopt: bool = False,
    retry_failed: bool | Sequence[str] = False,
    unpause: bool = False,
    accept_protocol: bool = False,
) -> SweepResult:
    """Run a sweep to its end, or go on with it; then write its report.

    `sweep` is one that `load_sweep` read, or what it reads: the path of a sweep file, or a mapping
    of what would stand in one.

    `home` is the folder of all sweeps ($SWEEPER_HOME, else ./sweeps); `listener` hears events
    as they happen; `source` is the file it was read from, kept beside it; `factory` makes the
    trainings (the real ones by default). `adopt` makes this home the study's own where another one
    has driven it so far. `accept_protocol` goes on where the sweep would be measured by another
    protocol than so far (`--accept-protocol`).

    Trials that failed through no fault of their configuration (`worker_died`, `unreadable`) are
    tried again, under their numbers and from their checkpoints. `retry_failed` has others tried
    again too: those that failed by one of these causes, or True for every cause that may pass.
    `unpause` starts trials also where the sweep was paused in an earlier run.
    While it runs, the umask of the whole process is that of the home, for every thread.

    A sweep that could not go on, or in which no trial finished, is a result with state `failed`.

    Raises:
        UserError: `retry_failed` names no cause, or one that would come again.
        SpecError: the file or mapping is wrong; every problem is in it.
        SpecConflict: the name exists with another search.
        AnotherHome: the study is driven from another home.
        SweepBusy: another process runs it.
        ProtocolChanged: it has values of several protocols, which nobody has accepted.
    """
    if not isinstance(sweep, Sweep):
        if source is None and not isinstance(sweep, Mapping):
            source = Path(sweep)
        sweep = load_sweep(sweep)
    here = Home.at(home)
    sweep = replace(sweep, base=with_absolute_paths(sweep.base))
    folder = here.sweep(sweep.name)
    also = to_retry(() if retry_failed is True else retry_failed) if retry_failed else ()
    outcome = run_lasting(
        sweep,
        here,
        events=listener,
        factory=factory,
        source=source,
        adopt=adopt,
        retry_failed=also,
        unpause=unpause,
        accept_protocol=accept_protocol,
        start=Start.here(),
    )
    return _result_of(outcome, folder)


def _result_of(outcome: Outcome, folder: SweepFolder) -> SweepResult:
    results = outcome.results
    return SweepResult(
        state=outcome.state,
        message=outcome.message,
        folder=outcome.folder,
        standings=outcome.standings,
        files=results.report if results else _late_report(folder, outcome.standings),
        tables=results.tables if results else (),
        exit_code=outcome.exit_code,
    )


def _late_report(folder: SweepFolder, standings: Standings) -> ReportPaths:
    """The report of a run that failed before it wrote one; if that fails too, where it belongs."""
    from sweeper.report import ReportPaths, write_report

    try:
        with private(folder.path.parent):
            return write_report(folder, standings)
    except OSError:
        return ReportPaths.within(folder.report)


def write_report_of(folder: SweepFolder) -> ReportPaths:
    """Write the report of a sweep again from its study, also while it runs.

    Raises:
        BucketError: what its trials have published cannot be had.
    """
    from sweeper.report import write_report
    from sweeper.scheduling.recording.conclusion import conclude

    sweep = sweep_of(folder)
    study = read_study(sweep, folder)
    with private(folder.path.parent):
        if study is None:
            return write_report(folder, standings_of(sweep, ()))
        bring_all(folder)
        return conclude(sweep, folder, study).report
