"""Whatever is written into a sweep file, the answer is a sweep or a SpecError."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.errors import SpecError
from sweeper.sweepfile import load_sweep, parse_sweep, sweep_from_dict
from sweeper.sweepfile.sections import KEYS
from tests.unit.spec_example import EXAMPLE

WORDS = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(["data", "digits", "loss", "hinge", "tricks", "ema", "decay", "steps", "lr"]),
    st.sampled_from(["values", "min", "max", "q", "distribution", "toggle", "knobs", "when"]),
    st.sampled_from(["log_uniform", "int_uniform", "q_log_uniform_values", "default", "preset"]),
    st.sampled_from(["sampler", "grid", "trials", "metric", "fid", "goal", "asha", "stop_on"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(width=32),
    WORDS,
    st.text(max_size=8),
)
KEY = st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=3).map(".".join), st.text(max_size=5))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEY, inner, max_size=4)),
    max_leaves=12,
)
FUZZ = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


GOOD = yaml.safe_load(EXAMPLE)
PLACES = places(GOOD)


@FUZZ
@given(content=st.one_of(st.text().map(str.encode), st.binary()))
def test_no_bytes_raise_anything_but_spec_error(tmp_path_factory: Any, content: bytes) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(content)
    with suppress(SpecError):
        load_sweep(path)


@settings(FUZZ, max_examples=40)
@given(
    changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3),
    overrides=st.lists(
        st.tuples(st.one_of(KEY, st.sampled_from(KEYS)), VALUES).map(
            lambda pair: f"{pair[0]}={yaml.safe_dump(pair[1], default_flow_style=True)}"
        ),
        max_size=1,
    ),
)
def test_no_change_of_a_good_file_raises_anything_but_spec_error(
    changes: list[tuple[tuple[Any, ...], Any]], overrides: list[str]
) -> None:
    raw = yaml.safe_load(EXAMPLE)
    for path, value in changes:
        here = raw
        for key in path[:-1]:
            if isinstance(here, dict):
                here = here.get(key)
            elif isinstance(here, list) and isinstance(key, int) and key < len(here):
                here = here[key]
        if isinstance(here, dict):
            here[path[-1]] = value
    with suppress(SpecError):
        sweep = parse_sweep(yaml.safe_dump(raw), overrides=overrides)
        assert sweep_from_dict(sweep.to_dict()) == sweep


@FUZZ
@given(parameters=st.dictionaries(KEY, VALUES, min_size=1, max_size=4), base=VALUES)
def test_no_space_raises_anything_but_spec_error(parameters: dict[str, Any], base: Any) -> None:
    raw = {"name": "fuzz", "base": base, "parameters": parameters, "limits": {"trials": 1}}
    with suppress(SpecError):
        parse_sweep(yaml.safe_dump(raw))
    raw["base"] = {"data": "digits"}
    with suppress(SpecError):
        parse_sweep(yaml.safe_dump(raw))
