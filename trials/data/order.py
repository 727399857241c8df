"""The order in which training sees the data: epochs of permutations, exactly resumable."""

from __future__ import annotations

from typing import Any

import torch

from trials.errors import CheckpointError


class Order:
    """Batches of positions, each of exactly `batch_size`.

    Every epoch is a fresh permutation of all positions; a batch that reaches the end of one goes
    on into the next, so that no item is ever left out and none comes more often than another.

    Its state is a few kilobytes however large the data: the generator as it was before the
    current permutation was drawn, from which that permutation is drawn again. It is drawn by
    `generator`, the same on every device, and moved once an epoch to where the data are.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        if count < 1 or batch_size < 1:
            raise ValueError(f"count {count} and batch_size {batch_size} must be positive")
        self.count = count
        self.batch_size = batch_size
        self.epoch = 0
        self._generator = generator
        self._device = device
        self._position: int
        self._permutation: torch.Tensor
        self._shuffle()

    def next(self) -> torch.LongTensor:
        """The next positions, (batch_size,), each in [0, count). Not to be changed in place."""
        end = self._position + self.batch_size
        if end <= self.count:
            batch = self._permutation[self._position : end]
            self._position = end
            return batch  # type: ignore[return-value]
        parts = []
        missing = self.batch_size
        while missing:
            if self._position == self.count:
                self.epoch += 1
                self._shuffle()
            part = self._permutation[self._position : self._position + missing]
            self._position += len(part)
            missing -= len(part)
            parts.append(part)
        return torch.cat(parts)  # type: ignore[return-value]

    def coming(self) -> torch.LongTensor | None:
        """The positions that `next` will give; None where they reach into an epoch that is not
        drawn yet."""
        end = self._position + self.batch_size
        if end > self.count:
            return None
        return self._permutation[self._position : end]  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs: plain integers and two uint8 tensors."""
        return {
            "count": self.count,
            "epoch": self.epoch,
            "position": self._position,
            "before": self._before,
            "now": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; the batch size may be another.

        Raises:
            CheckpointError: the state belongs to data of another size.
        """
        if state["count"] != self.count:
            raise CheckpointError(
                f"the order of the data was saved for {state['count']} items, "
                f"and there are {self.count}"
            )
        self._generator.set_state(state["before"])
        self._shuffle()
        self._generator.set_state(state["now"])
        self.epoch = state["epoch"]
        self._position = state["position"]

    def _shuffle(self) -> None:
        self._before = self._generator.get_state()
        permutation = torch.randperm(self.count, generator=self._generator)
        self._permutation = permutation.to(self._device)
        self._position = 0
