"""What is done to a sweep: one function a fault, each saying in a few words what it has done.

A fault that finds nothing to break (no worker is there yet) says nothing, and is not counted.
"""

from __future__ import annotations

import contextlib
import pickle
import signal
import time
from collections.abc import Callable

import psutil

from tests.faults.chaos.proxy import Mood
from tests.faults.chaos.scene import Scene

WORKERS = ("ray::_Inner", "ray::Worker")


Fault = Callable[[Scene], str]


def kill_the_driver(scene: Scene) -> str:
    return _killed(scene, [psutil.Process(scene.driver.pid)], "the driver")


def end_the_driver_politely(scene: Scene) -> str:
    """SIGTERM and SIGINT, now and then twice; not to a Python that still imports."""
    if not scene.driver.output:
        return ""
    kind = scene.chance.choice((signal.SIGTERM, signal.SIGINT))
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(scene.driver.pid).send_signal(kind)
        if scene.chance.random() < 0.3:
            time.sleep(scene.chance.uniform(0, 1))
            psutil.Process(scene.driver.pid).send_signal(kind)
    return f"sent {kind.name} to the driver"


def kill_a_worker(scene: Scene) -> str:
    return _killed(scene, scene.named(*WORKERS), "a worker")


def tell_a_worker_to_leave(scene: Scene) -> str:
    """Its training saves itself between two evaluations, and goes on in another process."""
    workers = scene.named(*WORKERS)
    if not workers:
        return ""
    with contextlib.suppress(psutil.NoSuchProcess):
        scene.chance.choice(workers).terminate()
    return "sent SIGTERM to a worker"


def freeze_a_worker(scene: Scene) -> str:
    """It wakes by itself, and takes up what it was doing."""
    workers = scene.named(*WORKERS)
    if not workers:
        return ""
    worker, seconds = scene.chance.choice(workers), scene.chance.uniform(1, 6)
    with contextlib.suppress(psutil.NoSuchProcess):
        worker.suspend()
        scene.stage.later(seconds, _wake, worker)
    return f"froze a worker for {seconds:.1f} s"


def kill_the_driver_under_a_frozen_worker(scene: Scene) -> str:
    """The worker wakes when another driver may have taken its trial on."""
    told = freeze_a_worker(scene)
    return told and f"{told}; {kill_the_driver(scene)}"


def kill_the_raylet(scene: Scene) -> str:
    return _killed(scene, scene.named("raylet"), "the raylet")


def kill_the_gcs(scene: Scene) -> str:
    return _killed(scene, scene.named("gcs_server"), "Ray's gcs_server")


def kill_the_writer(scene: Scene) -> str:
    return _killed(scene, scene.command("sweeper.tracking.writer"), "MLflow's writer")


def start_a_second_driver(scene: Scene) -> str:
    """It must go away by itself, and say why."""
    if not scene.driver.alive():
        return ""
    with scene.stage.start() as second:
        status = second.end()
        if scene.driver.alive():  # otherwise the second one may have had the sweep to itself
            assert status not in (0, None), "a second driver ran the same sweep"
            assert "Traceback" not in second.output or "SweepBusy" in second.output, second.output
    return "started a second driver"


def damage_a_checkpoint(scene: Scene) -> str:
    """With nobody at work: as a disk does it, or a hand."""
    kill_the_driver(scene)
    scene.driver.end()
    files = sorted(scene.stage.folders.glob("*/checkpoint.pt"))
    if not files:
        return "killed the driver"
    file = max(files, key=lambda one: one.stat().st_mtime)
    content = file.read_bytes()
    how = scene.chance.choice(("cut", "flipped", "empty", "pickle", "folder"))
    if how == "cut":
        file.write_bytes(content[: scene.chance.randrange(len(content))])
    elif how == "flipped":
        place = scene.chance.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "pickle":
        file.write_bytes(pickle.dumps({"step": 3}))
    else:
        file.unlink()
        file.mkdir()
    return f"killed the driver and damaged the checkpoint of trial {file.parent.name} ({how})"


def kill_the_mlflow_server(scene: Scene) -> str:
    """Another one is started a few seconds later."""
    if scene.stage.server is None:
        return ""
    scene.stage.server.kill()
    scene.stage.later(scene.chance.uniform(0.5, 4), scene.stage.server.start)
    return "killed the MLflow server"


def disturb_the_way_to_mlflow(scene: Scene) -> str:
    if scene.stage.proxy is None:
        return ""
    moods: tuple[Mood, ...] = ("slow", "cutting", "closed")
    mood, seconds = scene.chance.choice(moods), scene.chance.uniform(1, 5)
    scene.stage.proxy.mood = mood
    scene.stage.later(seconds, setattr, scene.stage.proxy, "mood", "fair")
    return f"made the way to MLflow {mood} for {seconds:.1f} s"


ALL: tuple[Fault, ...] = (
    kill_the_driver,
    end_the_driver_politely,
    kill_a_worker,
    tell_a_worker_to_leave,
    tell_a_worker_to_leave,
    freeze_a_worker,
    kill_the_driver_under_a_frozen_worker,
    kill_the_raylet,
    kill_the_gcs,
    kill_the_writer,
    start_a_second_driver,
    damage_a_checkpoint,
    kill_the_mlflow_server,
    disturb_the_way_to_mlflow,
)


def _killed(scene: Scene, candidates: list[psutil.Process], name: str) -> str:
    if not candidates:
        return ""
    with contextlib.suppress(psutil.NoSuchProcess):
        scene.chance.choice(candidates).kill()
    return f"killed {name}"


def _wake(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()
