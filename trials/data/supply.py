"""Batches of the real data on a training's device, wherever their decoded bytes live.

    held      on the device, where they fit: a batch is gathered there
    streamed  on the host, where they do not: while one batch is learnt from, a thread gathers the
              next into pinned memory, from which it is copied without anybody waiting

Which positions come is the order's to say, and what is drawn at random is drawn on the device, from
the stream that the caller gives: both ways give the same batches.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from trials.data.dataset import Dataset
from trials.data.order import Order
from trials.devices import memory_of

SHARE = 0.25
"""Of the device's free memory, or of a trial's part of all of it, what data may take: networks,
moments and other trials need more."""

Batch = tuple[Tensor, Tensor | None]


class Supply(ABC):
    """Batches of one dataset on one device: float32 items (n, …), and labels (n,) or None."""

    where: torch.device
    """Where positions are looked up."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.dataset = dataset
        self.device = device
        self.labels = None if dataset.labels is None else dataset.labels.to(device)

    @abstractmethod
    def next(self, order: Order, augment: torch.Generator) -> Batch:
        """The next batch in an order of the data, with what training does to it."""

    def at(self, positions: Tensor) -> Batch:
        """The items at these positions (n,), as they are."""
        return self.dataset.batch(positions, device=self.device)


class Held(Supply):
    """The data are on the device."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        super().__init__(dataset, device)
        self.where = device
        images = dataset.images.to(device)
        self.dataset = dataclasses.replace(dataset, images=images, labels=self.labels)

    def next(self, order: Order, augment: torch.Generator) -> Batch:
        return self.dataset.batch(order.next(), augment=augment)


class _Ahead(NamedTuple):
    """A batch that is being gathered, of these positions."""

    positions: Tensor
    items: Future[Tensor]


class Streamed(Supply):
    """The data stay on the host, and the next batch is gathered ahead of its turn."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        super().__init__(dataset, device)
        self.where = torch.device("cpu")
        self._pinned = device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, "next-batch")
        self._ahead: _Ahead | None = None

    def next(self, order: Order, augment: torch.Generator) -> Batch:
        positions = order.next()
        items = self._gathered(positions).to(self.device, non_blocking=True)
        # At the end of an epoch the next one is not drawn yet: drawing it early would change what
        # a checkpoint holds.
        coming = order.coming()
        if coming is not None:
            self._ahead = _Ahead(coming, self._thread.submit(self._gather, coming))
        labels = None
        if self.labels is not None:
            labels = self.labels.index_select(0, positions.to(self.device, non_blocking=True))
        return self.dataset.prepared(items, augment), labels

    def _gathered(self, positions: Tensor) -> Tensor:
        ahead, self._ahead = self._ahead, None
        # After a checkpoint has been loaded another batch is next than the one gathered.
        if ahead is not None and torch.equal(ahead.positions, positions):
            return ahead.items.result()
        return self._gather(positions)

    def _gather(self, positions: Tensor) -> Tensor:
        images = self.dataset.images
        shape = (len(positions), *images.shape[1:])
        room = torch.empty(shape, dtype=images.dtype, pin_memory=self._pinned)
        return torch.index_select(images, 0, positions, out=room)


def supply_of(
    dataset: Dataset,
    device: torch.device,
    part: float = 1.0,
    memory: tuple[int, int] | None = None,
) -> Supply:
    """The supply of a dataset for a training on `device`, of whose `memory` so many bytes are free
    and there; measured where nothing is said. On a CPU the data are where they are.

    Who has a `part` of the device below 1 counts on that of all its memory, whatever others hold in
    this moment: trials of one shape take the same.
    """
    if device.type == "cpu":
        return Held(dataset, device)
    free, total = memory_of(device) if memory is None else memory
    room = SHARE * (free if part == 1 else part * total)
    return (Held if dataset.images.nbytes <= room else Streamed)(dataset, device)
