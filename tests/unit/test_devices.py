"""Of a trial and its device one is at fault where CUDA gives out: others tell which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.scheduling.conducting import setbacks
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.working.failures import explain
from sweeper.scheduling.working.machine_checks import require_gpu
from sweeper.sweepfile.sections import Resources
from tests.driven import HERE, Driven

ECC = "AcceleratorError: CUDA error: uncorrectable ECC error encountered"
ASSERT = "RuntimeError: CUDA error: device-side assert triggered"
CUBLAS, CUSOLVER = "CUBLAS_STATUS_NOT_INITIALIZED", "CUSOLVER_STATUS_INTERNAL_ERROR"
CUDNN_9 = "CUDNN_STATUS_INTERNAL_ERROR"
THERE = Place("there", "another node", ("0",))
NODES = {HERE.node: HERE.machine, THERE.node: THERE.machine}
BAD = Place(HERE.machine, "", HERE.gpus)


@pytest.fixture(autouse=True)
def without_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setbacks, "REST", 0.0)


def driven(folder: Path, parallel: int = 2, **nodes: str) -> Driven:
    made = Driven(folder, parallel, trials=5, resources=Resources(gpu=1), nodes=lambda: NODES)
    made.places = dict.fromkeys((1, 3), THERE)
    return made


@pytest.mark.parametrize(
    ("raised", "symptom"),
    [
        (ECC, "device_fault"),
        (ASSERT, "device_fault"),
        ("CUDA error: unspecified launch failure", "device_fault"),
        ("CUDA driver: GPU is lost (Xid 79)", "device_fault"),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", "out_of_memory"),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", "device_fault"),
        ("CUDA error: all CUDA-capable devices are busy or unavailable", "device_fault"),
        ("CUDA error: the MPS client has been terminated by the server", "device_fault"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`", "out_of_memory"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "out_of_memory"),
        (f"cuDNN error: {CUDNN_9}_DEVICE_ALLOCATION_FAILED", "out_of_memory"),
        (f"cuDNN error: {CUDNN_9}_HOST_ALLOCATION_FAILED", "out_of_memory"),
        (f"CUDA error: {CUBLAS} when calling `cublasCreate(handle)`", "out_of_memory"),
        (f"CUDA error: {CUBLAS} when calling `cublasSgemm(handle)`", "error"),
        (f"cusolver error: {CUSOLVER}, when calling `cusolverDnCreate(handle)`", "out_of_memory"),
        (f"cusolver error: {CUSOLVER}, when calling `cusolverDnSgetrf(handle)`", "error"),
        ("cuFFT error: CUFFT_ALLOC_FAILED", "out_of_memory"),
        ("GET was unable to find an engine to execute this computation", "error"),
        ("CUDA error: invalid argument", "error"),
        ("CUDA error: invalid argument of eccentric", "error"),
        ("an oxide of xenon has no device-side assert", "error"),
    ],
)
def test_what_cuda_says_tells_a_broken_device_from_a_broken_training(
    raised: str, symptom: str, tmp_path: Path
) -> None:
    assert explain(RuntimeError(raised), tmp_path).cause == symptom


def test_a_worker_whose_gpu_is_gone_says_so_and_does_not_train_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    require_gpu(("3",), "auto")  # as on a cluster that only plays at having GPUs
    monkeypatch.setattr("torch.version.cuda", "13.0")
    require_gpu((), "auto")
    require_gpu(("3",), "cpu")
    with pytest.raises(RuntimeError, match="number 3") as gone:
        require_gpu(("3",), "auto")
    assert explain(gone.value, tmp_path).cause == "device_fault"


def test_a_trial_whose_device_breaks_is_tried_elsewhere_from_its_checkpoint(tmp_path: Path) -> None:
    sweep = driven(tmp_path)
    sweep.begin()
    sweep.report(0)
    sweep.fail(0, "device_fault", ECC)
    assert sweep.ledger.trial(0).state == "running"
    sweep.hand_out()
    assert (sweep.at_work[0].avoid, sweep.at_work[0].recorded) == ((HERE.node,), (1,))
    sweep.places[0] = THERE
    assert [trial.state for trial in sweep.to_the_end()] == ["completed"] * 5


@pytest.mark.parametrize("moved", [True, False])
def test_what_fails_on_two_devices_or_where_others_get_on_is_the_trials_own_error(
    moved: bool, tmp_path: Path
) -> None:
    sweep = driven(tmp_path)
    sweep.begin()
    sweep.fail(0, "device_fault", ASSERT)
    if moved:
        sweep.places[0] = THERE
    else:
        sweep.places[1] = HERE
        sweep.conductor.died(1, "so that it comes here")
        del sweep.at_work[1]
        sweep.conductor.setbacks.retries._until.clear()
    sweep.hand_out()
    if not moved:
        sweep.report(1)
    sweep.fail(0, "device_fault", ASSERT)
    failed = sweep.ledger.trial(0)
    assert (failed.state, failed.cause, failed.reason) == ("failed", "error", ASSERT)


def test_a_place_that_nobody_knows_yet_blames_neither_trial_nor_device(tmp_path: Path) -> None:
    sweep = driven(tmp_path)
    sweep.places |= {0: Place(), 2: Place()}
    sweep.begin()
    sweep.report(1)
    sweep.fail(0, "device_fault", ASSERT)
    sweep.places[0] = HERE
    sweep.hand_out()
    sweep.fail(0, "device_fault", ASSERT)
    assert sweep.ledger.trial(0).state == "running"
    assert sweep.conductor.setbacks.wrong == set()


def test_where_trials_share_a_context_the_fault_of_one_condemns_no_gpu(tmp_path: Path) -> None:
    shares = Resources(gpu=0.5, mps=True)
    sweep = Driven(tmp_path, 3, trials=5, resources=shares, nodes=lambda: NODES)
    sweep.places = {2: THERE}
    sweep.begin()
    sweep.report(2)
    for number in (0, 1):  # one of them has ended both
        sweep.fail(number, "device_fault", ASSERT)
    sweep.report(2)
    assert sweep.conductor.setbacks.wrong == set()
    assert [sweep.ledger.trial(number).state for number in (0, 1)] == ["running"] * 2


def test_what_hardware_alone_brings_about_is_never_the_trials_fault_and_tries_have_an_end(
    tmp_path: Path,
) -> None:
    sweep = driven(tmp_path)
    sweep.begin()
    for place in (THERE, HERE, HERE):
        sweep.fail(0, "device_fault", ECC)
        sweep.places[0] = place
        sweep.hand_out()
    failed = sweep.ledger.trial(0)
    assert (failed.state, failed.cause) == ("failed", "device_fault")
    assert failed.reason == f"GPU 0 of here: {ECC}"
    assert failed.attempts == 3
    again = driven(tmp_path)
    again.ledger.retry()
    assert again.ledger.mishaps.faults() == {}  # it has its tries once more


def test_a_device_by_which_several_fail_is_avoided_for_the_rest_of_the_sweep(
    tmp_path: Path,
) -> None:
    sweep = driven(tmp_path, parallel=3)
    sweep.places[4] = Place("here", HERE.node, ("1",))
    sweep.begin()
    sweep.fail(0, "device_fault", ECC)
    sweep.fail(2, "device_fault", ECC)
    assert not sweep.conductor.setbacks.wrong  # does anything else work?
    sweep.report(1)
    assert sweep.conductor.setbacks.wrong == {BAD}
    note = "GPU 0 of here is avoided from now on: 00000 and 00002 failed on it"
    assert sweep.ledger.trial(1).notes[0].startswith(note)
    sweep.hand_out()
    sweep.report(0)  # the trials that Ray gave the same device again stand aside
    assert 0 not in sweep.at_work
    sweep.report(1)
    assert 1 in sweep.at_work
    again = driven(tmp_path)
    assert again.conductor.setbacks.wrong == {BAD}


def test_one_trial_is_enough_where_the_hardware_fails_it_again(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 2, trials=3, resources=Resources(gpu=1))
    sweep.places[1] = replace(HERE, gpus=("1",))
    sweep.begin()
    sweep.report(1)
    sweep.fail(0, "device_fault", ECC)
    sweep.report(1)
    sweep.hand_out()  # the machine has no other GPU that is free
    sweep.fail(0, "device_fault", ECC)
    assert sweep.conductor.setbacks.wrong == {BAD}
    assert sweep.conductor.keeps_no_worker(waits=True)
    sweep.hand_out()
    sweep.places[0] = sweep.places[1]
    assert [trial.state for trial in sweep.to_the_end()] == ["completed"] * 3


def test_where_no_other_device_works_none_is_avoided(tmp_path: Path) -> None:
    sweep = Driven(tmp_path, 3, trials=5, resources=Resources(gpu=1))
    sweep.begin()
    sweep.fail(0, "device_fault", ECC)
    sweep.fail(1, "device_fault", ECC)
    sweep.report(2)
    assert not sweep.conductor.setbacks.wrong
