"""What a person sees while a sweep runs: one live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING

from sweeper.cli.leaderboard import best_in_words
from sweeper.cli.printing import outliving_its_reader, say
from sweeper.protocols import Protocol, alike
from sweeper.scheduling.recording.events import (
    Event,
    LimitsChanged,
    Listener,
    Noted,
    PhaseChanged,
    ProtocolChanged,
    SweepEnded,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.standings import Standings, standings_of
from sweeper.standings.forecast import forecast_of
from sweeper.trial import Trial, trial_name
from sweeper.wording import duration, on_one_line, over_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweeper.sweepfile.model import Sweep


LONGEST = 200
"""Characters of a reason that are shown; all of it is in the report and in MLflow."""


@contextmanager
def view(sweep: Sweep, *, quiet: bool = False, follows: bool = False) -> Iterator[Listener]:
    """A listener for the events of one run; `quiet` shows nothing on standard output. One that only
    `follows` a sweep, which goes on elsewhere, ends with the reader of its lines."""
    if quiet:
        yield lambda event: None
    elif sys.stdout.isatty():
        yield from _live(sweep)
    else:
        yield Lines(sweep, follows=follows)


@dataclass
class Running:
    """A trial as the view knows it."""

    number: int
    role: str
    steps: int | None
    since: float
    step: int = 0
    value: float | None = None
    symptoms: tuple[str, ...] = ()
    """Those that set in at its last evaluation."""


@dataclass
class Progress:
    """The state of a sweep as told by its events."""

    sweep: Sweep
    began: float = 0.0
    phase: str = "starting"
    message: str = ""
    budget: int = 0
    over: int = 0
    confirmed: int = 0
    replicates: int = 0
    running: dict[int, Running] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    """Those that are over."""
    protocol: Protocol = field(default_factory=dict)
    """By which the sweep is measured; empty before it was."""
    stops: Counter[str] = field(default_factory=Counter)
    explained: str = ""
    """What was seen last today: a symptom, or why a trial was stopped or failed. A sentence."""
    _left: str | None = None
    """What is still to come, as it was when a trial had ended last; None where that is new."""
    _standings: Standings | None = None
    """As they were when the lead last may have changed; None where it may have since."""

    def hear(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case SweepStarted():
                self._start(event)
            case PhaseChanged():
                self.phase, self.message = event.phase, event.message
            case Noted():
                self.explained = event.message
            case ProtocolChanged():
                self.explained, self.protocol = event.message, event.protocol
                self._standings = None
                self.over = sum(map(self._is_over, self.trials.values()))
            case LimitsChanged():
                self.explained, self.sweep, self.budget = event.message, event.sweep, event.budget
                self._left = None
            case TrialStarted():
                self.running[event.number] = Running(
                    event.number, event.role, event.steps, event.time
                )
            case TrialEvaluated():
                trial = self.running.get(event.number)
                if trial is not None:
                    trial.step, trial.value = event.evaluation.step, event.value
                    trial.symptoms = tuple(symptom.name for symptom in event.evaluation.symptoms)
                if any(symptom.note for symptom in event.evaluation.symptoms):
                    self.explained = f"trial {trial_name(event.number)} {_seen(event)}"
            case TrialEnded():
                self._end(event)
            case SweepEnded():
                # What there is to say of it stands below the view, with the ending.
                self.phase, self.message = event.state, ""

    def _start(self, event: SweepStarted) -> None:
        self.sweep, self.replicates = event.sweep, event.replicates
        self.began, self.budget, self.protocol = event.time, event.budget, event.protocol
        for trial in event.trials:
            if trial.over:
                self._count(trial)

    def _end(self, event: TrialEnded) -> None:
        self.running.pop(event.number, None)
        if event.trial is None:  # it goes on
            if event.reason:
                self.explained = _ending(event, "")
            return
        self._count(event.trial)
        if event.cause:
            self.explained = _ending(event, "")

    def _count(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        self._left = None
        self.over += self._is_over(trial)
        self.confirmed += trial.role == "replicate" and not self.sweep.is_ablation
        if trial.cause:
            self.stops[trial.cause] += 1
        if self._standings is not None and self._standings.may_change_the_lead(trial):
            self._standings = None

    def _is_over(self, trial: Trial) -> bool:
        """Whether a trial that has ended is one of the budget: a run of an ablation that was
        measured by another protocol is due again."""
        if self.sweep.is_ablation:
            return alike(trial.protocol, self.protocol)
        return trial.role != "replicate"

    def left(self) -> str:
        """What is still to come, in words; empty where nothing is known of it."""
        if self._left is None:
            standings = standings_of(
                self.sweep, self.trials.values(), self.budget or None, self.protocol
            )
            forecast = forecast_of(standings)
            self._left = forecast.in_words() if forecast.seconds is not None else ""
        return self._left

    def best_line(self) -> str:
        """Who leads, and how that compares with the base configuration. Empty for an ablation: its
        cells are compared over all their seeds when they have them."""
        if self.sweep.is_ablation:
            return ""
        if self._standings is None:
            trials = self.trials.values()
            self._standings = standings_of(self.sweep, trials, protocol=self.protocol)
        best = best_in_words(self._standings)
        return f"best {best}" if best else "no trial has completed yet"


class Lines:
    """Plain lines, one for each thing worth keeping in a log file. A sweep of days is not to end
    because its log's reader has; what only `follows` one is."""

    def __init__(self, sweep: Sweep, *, follows: bool = False) -> None:
        self.progress = Progress(sweep)
        self._keeping_on = nullcontext if follows else outliving_its_reader
        self.metric = sweep.objective[0].metric

    def __call__(self, event: Event) -> None:
        self.progress.hear(event)
        text = self._text(event)
        if text:
            with self._keeping_on():
                say(text)

    def _text(self, event: Event) -> str:
        progress = self.progress
        match event:
            case SweepStarted():
                verb = "resumed" if event.resumed else "started"
                over = f"{over_of(progress.over, event.budget)} trials over"
                return f"{event.sweep.name} {verb}: {over}, {event.folder}"
            case PhaseChanged():
                return f"{event.phase}: {event.message}" if event.message else event.phase
            case Noted() | ProtocolChanged() | LimitsChanged():
                return f"note: {event.message}"
            case TrialStarted():
                again = " (resumed)" if event.resumed else ""
                return f"trial {trial_name(event.number)} started{again}"
            case TrialEvaluated() if event.evaluation.symptoms:
                step = event.evaluation.step
                return f"trial {trial_name(event.number)} step {step}: {_seen(event)}"
            case TrialEnded():
                over = over_of(progress.over, progress.budget)
                said = ", ".join(filter(None, (over, progress.best_line())))
                return f"{_ending(event, self.metric)}; {said}"
            case SweepEnded():
                return event.state
        return ""


def _seen(event: TrialEvaluated) -> str:
    """The symptoms that set in, each with what was seen of it."""
    return "; ".join(
        f"{symptom.name}: {shorten(symptom.note, LONGEST)}" if symptom.note else symptom.name
        for symptom in event.evaluation.symptoms
    )


def _ending(event: TrialEnded, metric: str) -> str:
    text = f"trial {trial_name(event.number)} {event.state}"
    if event.trial is not None and event.trial.objective is not None:
        return f"{text}, {metric} {event.trial.objective[0]:.4g}"
    why = f"{text}, {event.cause}" if event.cause else text
    reason = " ".join((event.reason or "").split())
    return f"{why}: {shorten(reason, LONGEST)}" if reason else why


def _live(sweep: Sweep) -> Iterator[Listener]:
    from rich.console import Console
    from rich.live import Live

    progress = Progress(sweep)
    console = Console()
    live = Live(
        get_renderable=lambda: _picture(progress, console.width),
        console=console,
        refresh_per_second=4,
        transient=False,
    )
    live.start()
    try:
        yield progress.hear
    finally:
        with outliving_its_reader():
            live.stop()


def _picture(progress: Progress, width: int) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    head = Table.grid(padding=(0, 1))
    share = min(1.0, progress.over / progress.budget) if progress.budget else 0
    head.add_row(
        Text(progress.sweep.name, style="bold"),
        ProgressBar(total=1.0, completed=share, width=max(10, min(40, width - 60))),
        f"{over_of(progress.over, progress.budget)} trials",
        _clock(progress, now),
        Text(progress.phase, style="dim"),
    )
    best = progress.best_line()
    parts: list[RenderableType] = [head, *([Text("  " + on_one_line(best))] if best else [])]
    if progress.replicates and progress.confirmed:
        parts.append(Text(f"  confirmed {progress.confirmed}/{progress.replicates} runs"))
    for trial in sorted(progress.running.values(), key=lambda t: t.number):
        value = (
            ""
            if trial.value is None
            else f"  {progress.sweep.objective[0].metric} {trial.value:.4g}"
        )
        total = f"/{trial.steps}" if trial.steps else ""
        role = "" if trial.role == "search" else f" {trial.role}"
        row = Text(f"  trial {trial_name(trial.number)}{role}  step {trial.step}{total}{value}")
        if trial.symptoms:
            row.append(on_one_line(f"  {', '.join(trial.symptoms)}"), style="yellow")
        parts.append(row)
    if progress.stops:
        stops = ", ".join(f"{count} {name}" for name, count in progress.stops.most_common())
        parts.append(Text(on_one_line(f"  stopped: {stops}"), style="yellow"))
    if progress.explained:
        parts.append(Text(f"  {on_one_line(progress.explained)}", style="yellow"))
    if progress.message:
        parts.append(Text("  " + on_one_line(progress.message), style="dim"))
    return Group(*parts)


def _clock(progress: Progress, now: float) -> str:
    if not progress.began:
        return "starting"
    spent = f"{duration(now - progress.began)} spent"
    left = progress.left()
    return f"{spent}, {left} left" if left else spent
