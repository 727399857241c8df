"""The conductor in the shapes that Ray Tune knows: searcher, scheduler, callback, stopper.

Tune starts actors, hands them trials and collects their results; it decides nothing. Its trial ids
are the study's numbers. Its own record of the experiment is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.search_generator import SearchGenerator
from ray.tune.stopper import NoopStopper, Stopper

from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.working.messages import Report, Work
from sweeper.scheduling.working.trainable import NEEDS, REPORT
from sweeper.trial import trial_name

Needs = Callable[[Work], dict[str, Any]]
"""What Ray is to give a worker for a piece of work (`machine_checks.needs`)."""


class Abort(BaseException):
    """Leave Tune at once, because of `cause`. No Exception: Tune would wrap it or swallow it."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        raise Abort(error) from error


class LedgerSearcher(Searcher):  # type: ignore[misc]
    """Suggests what the conductor hands out, with what Ray is to give it."""

    def __init__(self, conductor: Conductor, tick: Callable[[], None], needs: Needs) -> None:
        super().__init__()
        self._conductor = conductor
        self._tick = tick
        self._needs = needs

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        _guarded(self._tick)  # Tune may be waiting here, and nowhere else, while trials rest
        work = _guarded(self._conductor.next_work)
        if work is None:
            return None
        needs = _guarded(lambda: self._needs(work))
        return {"name": trial_name(work.number), "work": work.text(), NEEDS: needs}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler has heard it first."""


class NumberedTrials(SearchGenerator):  # type: ignore[misc]
    """Makes Tune's trials of suggestions, under the study's numbers."""

    def __init__(self, conductor: Conductor, tick: Callable[[], None], needs: Needs) -> None:
        super().__init__(LedgerSearcher(conductor, tick, needs))
        self._conductor = conductor

    def create_trial_if_possible(self, experiment_spec: dict[str, Any]) -> Trial | None:
        trial = super().create_trial_if_possible(experiment_spec)
        if trial is not None:
            trial.trial_id = trial.config["name"]
        return trial

    def is_finished(self) -> bool:
        # Tune would wait for a trial, and keep a worker with all that it holds: it ends instead.
        return bool(_guarded(lambda: self._conductor.finished or self._conductor.stands_by))

    def save_to_dir(self, dirpath: str, session_str: str) -> None:
        """Nothing: the study is the record."""


class Verdicts(FIFOScheduler):  # type: ignore[misc]
    """Passes results and deaths on, and lets the conductor decide."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self._tune: Any = None
        self._controller: Any = None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        report = Report.read(result[REPORT])
        stop = _guarded(lambda: self._conductor.heard(int(trial.trial_id), report))
        return str(self.STOP if stop else self.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._controller = tune_controller
        reason = _reason(trial)
        _guarded(lambda: self._conductor.died(int(trial.trial_id), reason))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._controller = tune_controller

    def forget(self) -> None:
        """Let go of trials that are over.

        Tune keeps every trial, looks through them all at every turn, and pickles them all at the
        end; its driver's memory and time grow with the length of the sweep (ray#64231).
        """
        kept = self._controller
        self._controller = None
        if kept is None:
            return
        over = [trial for trial in kept.get_trials() if trial.is_finished()]
        kept.get_trials()[:] = [trial for trial in kept.get_trials() if not trial.is_finished()]
        for name in ("_stopped_trials", "_failed_trials", "_trials_to_cache", "_live_trials"):
            getattr(kept, name).difference_update(over)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._tune = tune_controller

    def kill_workers(self) -> None:
        """End all workers at once, in the middle of whatever they do, and give back what they hold.

        Tune does so where it fails by itself, and not where `Abort` leaves it: on a cluster that
        goes on they would keep their CPUs and GPUs from whoever comes next.
        """
        manager = getattr(self._tune, "_actor_manager", None)
        if manager is not None:
            manager.cleanup()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        # Tune starts pending trials in order by itself; asking every trial there ever was, at
        # every turn of its loop, only makes long sweeps slow.
        self._take_back(tune_controller)
        self._let_go(tune_controller)
        return None

    def _take_back(self, controller: Any) -> None:
        """Ask Ray no more for what the conductor takes back of those for whom it has no place. A
        Ray without this function has to be waited for."""
        if not hasattr(controller, "_unstage_trial_with_resources"):
            return
        waiting = {
            int(trial.trial_id): trial
            for trial in controller.get_trials()
            if trial.status == Trial.PENDING and not _has_place(controller, trial)
        }
        if not waiting:
            return
        for number in _guarded(lambda: self._conductor.withdrawing.taken_back(tuple(waiting))):
            trial = waiting[number]
            if trial in controller._staged_trials:
                controller._unstage_trial_with_resources(trial)
            # Not by `stop_trial`, which says on the terminal that the trial has completed.
            controller._schedule_trial_stop(trial)
            self._controller = controller

    def _let_go(self, controller: Any) -> None:
        """Give back what a worker holds that waits for a trial while there will be none, or while
        one that waits for a device of its own could have it.

        Tune keeps such a worker, with its CPUs and its GPU, for as long as other trials run: nobody
        else could have them while a sweep's lease is small. A Ray without this function keeps it.
        """
        if not hasattr(controller, "_cleanup_cached_actors"):
            return
        waits = any(trial.status == Trial.PENDING for trial in controller.get_trials())
        if self._conductor.keeps_no_worker(waits):
            controller._cleanup_cached_actors(force_all=True)


def _has_place(controller: Any, trial: Trial) -> bool:
    """Whether Ray has given the trial a place, on which its worker starts or is made ready."""
    actor = controller._trial_to_actor.get(trial)
    return actor is not None and actor not in controller._actor_manager._pending_actors_to_attrs


class Trials(tune.Callback):  # type: ignore[misc]
    """Says when a worker has taken a trial up, turns the clock, forgets what is over."""

    def __init__(self, conductor: Conductor, verdicts: Verdicts, tick: Callable[[], None]) -> None:
        self._conductor = conductor
        self._verdicts = verdicts
        self._tick = tick

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        _guarded(self._tick)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._verdicts.forget()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        _guarded(lambda: self._conductor.started(int(trial.trial_id)))


class Silence(TrialProgressCallback):  # type: ignore[misc]
    """Stands where Tune would put one of its own, which is silent here too, and never lets go of a
    trial that it has heard of."""

    def on_trial_result(self, *given: Any, **info: Any) -> None:
        """Nothing: the listeners hear of it."""

    def on_trial_error(self, *given: Any, **info: Any) -> None:
        """Nothing, as above."""

    def on_trial_complete(self, *given: Any, **info: Any) -> None:
        """Nothing, as above."""


class StopNow(Stopper):  # type: ignore[misc]
    """Ends the experiment when `asked` says so, without waiting for any trial."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._asked()

    def __reduce__(self) -> tuple[type[Stopper], tuple[()]]:
        return NoopStopper, ()  # Tune writes its stopper into the record that is thrown away


_IDENTITIES = ("class_name", "actor_id", "namespace", "ip", "pid", "owner_id", "node_id", "name")


def _reason(trial: Trial) -> str:
    """Why a worker died, in one line: Ray's account without its list of ids."""
    file = Path(trial.error_file) if trial.error_file else None
    text = file.read_text(encoding="utf-8", errors="replace") if file and file.exists() else ""
    last = text.split("Failure #")[-1].splitlines()[1:]  # the file keeps every failure
    told = [line.strip() for line in last if line.split(":")[0].strip() not in _IDENTITIES]
    return " ".join(line for line in told if line)[:500] or "Ray does not say why"
