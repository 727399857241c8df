"""Where decoded bytes live makes no difference to what is trained on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trials.data import Order
from trials.data.dataset import Dataset
from trials.data.supply import SHARE, Held, Streamed, Supply, supply_of

CPU = torch.device("cpu")


def dataset(count: int = 11, flip: bool = True) -> Dataset:
    images = torch.arange(count * 12, dtype=torch.uint8).view(count, 1, 3, 4)
    return Dataset("test", "f", images, torch.arange(count) % 3, flip=flip)


def order(count: int = 11) -> Order:
    return Order(count, 4, torch.Generator().manual_seed(0))


def batches(supply: Supply, way: Order, count: int) -> list[Any]:
    augment = torch.Generator().manual_seed(1)
    return [supply.next(way, augment) for _ in range(count)]


def same(first: list[Any], other: list[Any]) -> bool:
    return len(first) == len(other) and all(
        torch.equal(one, two)
        for pair, counterpart in zip(first, other, strict=True)
        for one, two in zip(pair, counterpart, strict=True)
    )


def test_streamed_batches_are_those_of_data_that_are_held() -> None:
    data = dataset()
    held = batches(Held(data, CPU), order(), 9)  # three epochs and a bit
    assert same(batches(Streamed(data, CPU), order(), 9), held)
    augment = torch.Generator().manual_seed(1)
    way = order()
    assert same([data.batch(way.next(), augment=augment) for _ in range(9)], held)


def test_gathering_ahead_changes_nothing_of_what_a_checkpoint_holds() -> None:
    plain, ahead = order(), order()
    held, streamed = Held(dataset(), CPU), Streamed(dataset(), CPU)
    for _ in range(7):
        batches(held, plain, 1)
        batches(streamed, ahead, 1)
        one, two = plain.state_dict(), ahead.state_dict()
        assert (one["epoch"], one["position"]) == (two["epoch"], two["position"])
        assert torch.equal(one["before"], two["before"])
        assert torch.equal(one["now"], two["now"])


def test_a_batch_gathered_ahead_of_a_checkpoint_that_is_loaded_is_not_used() -> None:
    supply, way = Streamed(dataset(), CPU), order()
    saved = way.state_dict()
    first = batches(supply, way, 2)
    way.load_state_dict(saved)  # the third batch lies gathered
    assert same(batches(supply, way, 2), first)


@pytest.mark.parametrize(("free", "kind"), [(1.01, Held), (0.99, Streamed)])
def test_data_are_held_where_they_fit_in_their_share_of_the_memory(
    free: float, kind: type[Supply]
) -> None:
    data, other = dataset(), torch.device("meta")  # stands for a GPU: it is not the CPU
    memory = int(free * data.images.nbytes / SHARE), 2**30
    assert type(supply_of(data, other, memory=memory)) is kind
    assert type(supply_of(data, CPU, memory=(0, 0))) is Held
    if kind is Held:
        held = supply_of(data, other, memory=memory)
        assert held.dataset.images.device == held.where == other
    assert data.images.device == CPU


@pytest.mark.parametrize(("size", "kind"), [(1.01, Held), (0.99, Streamed)])
def test_where_data_lie_of_trials_that_share_a_gpu_does_not_depend_on_what_others_hold(
    size: float, kind: type[Supply]
) -> None:
    data, part = dataset(), 1 / 20
    total = int(size * data.images.nbytes / SHARE / part)
    for free in (0, total // 2, total):
        assert type(supply_of(data, torch.device("meta"), part, (free, total))) is kind


def test_random_items_come_as_they_are() -> None:
    data, positions = dataset(), torch.tensor([3, 3, 0])
    for supply in (Held(data, CPU), Streamed(data, CPU)):
        items, labels = supply.at(positions)
        assert torch.equal(items, data.images[positions].float() / 127.5 - 1)
        assert labels is not None
        assert labels.tolist() == [0, 0, 0]
