"""Settings of data: what is refused before anything is looked at, and what may be left out."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError

from trials.config import problems_of
from trials.data import AnyData, Dataset, DataSource, check_data, open_data, to_unit
from trials.data.holdout import held_out
from trials.data.sources.digits import Digits
from trials.data.sources.grid import Grid
from trials.data.sources.ring import Ring
from trials.errors import DataError
from trials.validation import problems_from

DIGITS = "3302b1d1305341839f89ca1806a130f16f6430e087c72a5e4070812270c42ef8"
HELD_OUT = [2, 4, 6, 8, 18]


class Outer(BaseModel):
    data: AnyData


def problems(value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"data": value})
    return "\n".join(map(str, problems_from(caught.value, Outer)))


def test_a_bare_name_is_the_source_with_its_defaults() -> None:
    assert Outer.model_validate({"data": "digits"}).data == Digits.Config()
    assert Outer.model_validate({"data": {"name": "ring", "modes": 4}}).data == Ring.Config(modes=4)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("digit", "data: there is no data source 'digit' .*did you mean 'digits'"),
        ({"name": "rnig"}, "data.name: there is no data source 'rnig' .*did you mean 'ring'"),
        ({"name": "digits", "sise": 8}, "data.sise: there is no such .*did you mean 'size'"),
        ({"name": "digits", "size": 12}, "data.size: 12 is not possible .*one of 8, 16, 32"),
        ({"name": "digits", "holdout": 0.6}, "data.holdout: .* 0.5"),
        ({"name": "digits", "holdout": float("nan")}, "data.holdout: nan is wrong"),
        ({"name": "ring", "flip": True}, "data.flip: is an option of .*digits.*, not of ring"),
        ({"name": "ring", "std": 0}, "data.std: 0 is wrong .*greater than 0"),
        ({"name": "grid", "side": 0}, "data.side: 0 is wrong"),
        ("parquet", "data.path: is missing .expected a file"),
        ({"name": "npz", "path": " "}, "data.path: is blank"),
        ({"name": "npz", "path": "~no-such-user/a"}, "data.path: .*no such user as ~no-such-user"),
        ({"name": "image_folder", "path": "a", "size": 8, "channels": 2}, "2 is not possible"),
        ({"name": "cifar10", "path": "a", "split": "trian"}, "did you mean 'train'"),
        ({"name": "parquet", "path": "a", "size": 8, "limit": 0}, "data.limit: 0 is wrong"),
    ],
)
def test_wrong_settings_are_answered_with_place_expectation_and_nearest_name(
    value: Any, answer: str
) -> None:
    with pytest.raises(DataError, match=answer):
        raise DataError(problems(value))


def test_a_path_that_cannot_even_be_looked_at_is_one_problem() -> None:
    for name in ("npz", "idx"):
        mapping = {"data": {"name": name, "path": "a" * 300}, "conditioning": "concat"}
        problems_of(mapping)  # does not raise; check_data says what is wrong
        config = TypeAdapter(AnyData).validate_python(mapping["data"])
        (problem,) = check_data(config)
        assert problem.path == "data.path"
        assert "File name too long" in str(problem)
        with pytest.raises(DataError, match="File name too long"):
            open_data(config)


def test_every_setting_is_described() -> None:
    for name, source in DataSource.all().items():
        assert source.summary
        for key, field in source.Config.model_fields.items():
            assert field.description, f"{name}.{key}"


def test_the_schema_lets_an_editor_accept_both_spellings() -> None:
    schema = json.dumps(TypeAdapter(AnyData).json_schema())
    assert '"enum": ["digits", "grid", "ring"]' in schema
    assert '"const": "parquet"' in schema


def test_digits_open_without_importing_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def guarded(name: str, *rest: Any) -> Any:
        assert not name.startswith("sklearn"), "importing it takes longer than all else"
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", guarded)
    data = open_data(Digits.Config())
    assert data.shape == (1, 8, 8)
    assert data.labels is not None
    assert data.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_what_is_kept_out_and_the_fingerprint_never_change_with_a_version() -> None:
    # Recorded when first written: numbers of older runs are compared by these.
    assert np.flatnonzero(held_out(20, 0.25)).tolist() == HELD_OUT
    assert open_data(Digits.Config()).fingerprint == DIGITS
    assert int(held_out(1797, 0.1).sum()) == 180
    assert int(held_out(3, 0.001).sum()) == 1
    assert not held_out(3, 0.0).any()


def test_mixtures_are_what_they_say() -> None:
    ring = open_data(Ring.Config(modes=5, radius=3.0, std=0.1, points=20_000))
    assert ring.modes is not None
    assert ring.labels is not None
    assert torch.allclose(ring.modes.norm(dim=1), torch.tensor(3.0))
    offsets = ring.images - ring.modes[ring.labels]
    assert offsets.std(dim=0).tolist() == pytest.approx([0.1, 0.1], rel=0.03)
    assert ring.labels.bincount().tolist() == pytest.approx([4000] * 5, rel=0.06)
    assert ring.mode_std == 0.1

    grid = open_data(Grid.Config(points=100))
    assert grid.modes is not None
    assert sorted(set(grid.modes.flatten().tolist())) == [-4, -2, 0, 2, 4]
    assert len({tuple(centre) for centre in grid.modes.tolist()}) == 25


def test_bytes_become_numbers_from_minus_one_to_one() -> None:
    units = to_unit(torch.arange(256, dtype=torch.uint8))
    assert units[0] == -1
    assert units[255] == 1
    assert units.diff().min() > 0


def pictures(count: int = 64, flip: bool = True) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return Dataset("test", "0", torch.from_numpy(images), flip=flip)


def test_flip_mirrors_about_half_and_only_with_a_stream() -> None:
    data = pictures()
    everything = torch.arange(64)
    exact, _ = data.batch(everything)
    seed = torch.Generator().manual_seed(0)
    state = seed.get_state()
    found, _ = data.batch(everything, augment=seed)
    same = (found == exact).flatten(1).all(dim=1)
    mirror = (found == exact.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirror).all()
    assert 20 <= int(mirror.sum()) <= 44
    again, _ = data.batch(everything, augment=seed)
    assert not torch.equal(again, found)
    seed.set_state(state)
    resumed, _ = data.batch(everything, augment=seed)
    assert torch.equal(resumed, found)

    untouched = torch.Generator().manual_seed(0)
    plain, _ = pictures(flip=False).batch(everything, augment=untouched)
    assert torch.equal(plain, exact)
    assert torch.equal(untouched.get_state(), torch.Generator().manual_seed(0).get_state())


def test_data_moved_to_a_device_give_the_same_batches() -> None:
    data = open_data(Digits.Config(holdout=0.1))
    moved = data.to("cpu")
    first, labels = data.batch(torch.tensor([5, 6]), device="cpu")
    second, others = moved.batch(torch.tensor([5, 6]))
    assert torch.equal(first, second)
    assert labels is not None
    assert others is not None
    assert torch.equal(labels, others)
    assert moved.describe() == data.describe()
