"""Which settings name files, measure, or cannot change: asked of the fields that declare them."""

from __future__ import annotations

from typing import Any

import pytest

from trials.roles import measures, paths_of, shapes_weights


@pytest.mark.parametrize(
    ("mapping", "paths"),
    [
        ({"data": "digits"}, []),
        ({"data": {"name": "npz", "path": "a.npz"}}, ["data.path"]),
        ({"data": {"name": "idx", "path": "a", "labels": "b"}}, ["data.path", "data.labels"]),
        ({"data": {"name": "idx", "path": "a", "labels": None}}, ["data.path"]),
        ({"data": {"path": "a", "size": 8}}, ["data.path"]),
        ({"data": {"name": "no such source", "path": "a"}}, ["data.path"]),
        (
            {"evaluation": {"extractor": {"name": "inception", "weights": "w.pth"}}},
            ["evaluation.extractor.weights"],
        ),
        ({"evaluation": {"extractor": "inception"}, "tricks": {"ema": True}, "nonsense": {}}, []),
    ],
)
def test_files_are_known_by_the_type_of_their_setting(
    mapping: dict[str, Any], paths: list[str]
) -> None:
    assert [".".join(keys) for keys in paths_of(mapping)] == paths


@pytest.mark.parametrize(
    ("path", "measured_by", "shaping"),
    [
        ("data", True, True),
        ("data.size", True, True),
        ("data.flip", False, True),
        ("evaluation.samples", True, True),
        ("networks.generator.width", False, True),
        ("batch_size", False, True),
        ("seed", False, True),
        ("optimizer.generator.lr", False, False),
        ("loss.margin", False, False),
        ("tricks.ema.decay", False, False),
        ("tricks.self_attention.resolution", False, True),
        ("no.such.path", False, False),
    ],
)
def test_what_measures_and_what_shapes_weights_is_declared_with_the_field(
    path: str, measured_by: bool, shaping: bool
) -> None:
    assert measures(path) == measured_by
    assert shapes_weights(path) == shaping
