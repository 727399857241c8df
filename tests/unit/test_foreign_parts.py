"""Parts of a script reach another process, and have the same origin there."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.foreign_parts import ForeignParts
from sweeper.sweepfile.load import parse_sweep
from trials import distributions, offered
from trials.origins import foreign_in_words, origin_of
from trials.part import registered, temporary_parts

MODULE = '''
from trials.health.sign import Sign, SignConfig
from trials.metrics.measure import Measure

SCALE = 2.0


class Doubled(Measure):
    key = "doubled"
    summary = "twice the distance between the means"
    better = "lower"
    paper = "none"
    kinds = frozenset()

    def compute(self, seen):
        return SCALE * float((seen.real.reference.moments.mean - seen.moments.mean).square().sum())


class Automatic(Doubled):
    key = "automatic"
    kinds = frozenset({"image"})


class Unasked(Doubled):
    key = "unasked"


class Slow(Sign):
    key = "slow"
    summary = "it takes long"
    advice = "Wait."
    source = "none"
    examples = ({"fid": (90.0,)},)

    class Config(SignConfig):
        """None of its own."""

    def evidence(self, history):
        return None

    def note(self, evidence):
        return "It takes long."
'''

SWEEP = """
name: measured
base: {data: digits, steps: 4, evaluation: {metrics: [fid, doubled]}}
parameters: {optimizer.generator.lr: {min: 0.001, max: 0.01}}
limits: {trials: 2}
"""

ELSEWHERE = """
import sys
from pathlib import Path
from sweeper.foreign_parts import unpack
from trials.health.sign import Sign
from trials.metrics.measure import Measure
from trials.origins import foreign_in_words, origin_of
unpack(Path(sys.argv[1]).read_bytes())
known = {**Sign.all(), **Measure.all()}
for key in ("doubled", "automatic", "unasked", "slow"):
    print(foreign_in_words([known[key]]) if key in known else "unknown")
"""


@pytest.fixture
def beside_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of parts that is on the path here, and that no worker can import."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside_a_script.py").write_text(MODULE)
    with temporary_parts():
        importlib.import_module("beside_a_script")
        yield
    sys.modules.pop("beside_a_script")
    offered._OFFERED.clear()
    distributions.installed.cache_clear()


@pytest.mark.usefixtures("beside_a_script")
def test_parts_of_a_script_have_the_same_origin_on_a_worker(tmp_path: Path) -> None:
    foreign = ForeignParts.of(parse_sweep(SWEEP))
    measures, signs = registered("measure"), registered("sign of failure")
    here = {key: foreign_in_words([measures[key]]) for key in ("doubled", "automatic")}
    here["slow"] = foreign_in_words([signs["slow"]])
    assert set(foreign.sources) == {f"beside_a_script.{key}" for key in here}

    (tmp_path / "parts").write_bytes(foreign.parts)
    told = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "parts")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told == [here["doubled"], here["automatic"], "unknown", here["slow"]]


LOCKED = """
import threading

LOCK = threading.Lock()


def scaled(value):
    with LOCK:
        return SCALE * value
"""


def test_a_part_that_cannot_be_sent_to_a_worker_is_refused_with_what_keeps_it_here(
    tmp_path: Path,
) -> None:
    with temporary_parts():
        in_the_module_alone(tmp_path, MODULE.replace("SCALE *", "scaled(1) *") + LOCKED)
        with pytest.raises(UserError) as refused:
            ForeignParts.of(parse_sweep(SWEEP))
    assert str(refused.value).startswith(
        "the measure 'doubled' of run_from_its_file cannot be sent to a worker: it uses LOCK of "
        "run_from_its_file, of which no copy can be made (TypeError: cannot pickle"
    )


def test_a_part_of_code_that_was_run_from_its_file_reaches_a_worker_too(tmp_path: Path) -> None:
    with temporary_parts():
        doubled = in_the_module_alone(tmp_path, MODULE).Doubled
        foreign = ForeignParts.of(parse_sweep(SWEEP))
        first = origin_of(doubled)
    assert foreign.sources["run_from_its_file.doubled"] == first.version
    (tmp_path / "parts").write_bytes(foreign.parts)
    told = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "parts")]
    done = subprocess.run(told, capture_output=True, text=True, check=True)
    assert str(first) in done.stdout
    with temporary_parts():
        other = in_the_module_alone(tmp_path, MODULE.replace("SCALE = 2.0", "SCALE = 3.0")).Doubled
        assert origin_of(other) != first, "a hash of its globals, too"


def in_the_module_alone(folder: Path, source: str) -> Any:
    """A module that was made of its file, and that `sys.modules` knows nothing of."""
    file = folder / "run_from_its_file.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("run_from_its_file", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
