from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trials.data import Order
from trials.errors import CheckpointError


def make(count: int = 10, batch_size: int = 4, seed: int = 0) -> Order:
    return Order(count, batch_size, torch.Generator().manual_seed(seed))


def take(order: Order, batches: int) -> list[list[int]]:
    return [order.next().tolist() for _ in range(batches)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 12))
def test_every_item_comes_once_an_epoch_in_batches_of_the_exact_size(
    count: int, batch_size: int, seed: int
) -> None:
    order = make(count, batch_size, seed)
    batches = take(order, 3 * count)
    assert {len(batch) for batch in batches} == {batch_size}
    stream = [index for batch in batches for index in batch]
    for start in range(0, len(stream) - count + 1, count):
        assert sorted(stream[start : start + count]) == list(range(count))


def test_epochs_differ_and_seeds_differ() -> None:
    order = make(count=50, batch_size=50)
    first, second = take(order, 2)
    assert first != second
    assert order.epoch == 1
    assert take(make(50, 50, seed=1), 1) != [first]
    assert take(make(50, 50), 2) == [first, second]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 25))
def test_a_resumed_order_goes_on_exactly_though_its_generator_was_used_by_others(
    count: int, batch_size: int, before: int
) -> None:
    generator = torch.Generator().manual_seed(3)
    order = Order(count, batch_size, generator)
    take(order, before)
    torch.rand(5, generator=generator)
    stream = io.BytesIO()
    torch.save(order.state_dict(), stream)
    wanted = take(order, 7)
    drawn = torch.rand(3, generator=generator)

    stream.seek(0)
    other = torch.Generator().manual_seed(99)
    resumed = Order(count, batch_size, other)
    resumed.load_state_dict(torch.load(stream, weights_only=True))
    assert take(resumed, 7) == wanted
    assert torch.equal(torch.rand(3, generator=other), drawn)


def test_the_state_is_small_however_large_the_data() -> None:
    state = make(count=1_000_000).state_dict()
    tensors = [value for value in state.values() if isinstance(value, torch.Tensor)]
    assert sum(tensor.nbytes for tensor in tensors) < 20_000


def test_the_order_of_other_data_is_refused() -> None:
    with pytest.raises(CheckpointError, match="saved for 10 items, and there are 11"):
        make(11).load_state_dict(make(10).state_dict())


def test_nothing_cannot_be_ordered() -> None:
    with pytest.raises(ValueError, match="positive"):
        make(count=0)
