"""The table at which the two players meet: networks, optimisers, data and randomness.

Knows no trick. What tricks make of it is `trials.engine.composed_game`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from trials.data.dataset import Dataset
from trials.data.order import Order
from trials.data.supply import supply_of
from trials.errors import StaleCheckpointError
from trials.game import Made, Trial
from trials.networks.build import build
from trials.networks.plan import Judgement, NetworkPlan, label_a_pack
from trials.precision import Arithmetic
from trials.state.streams import Streams, derive


class AsWritten:
    """Networks compute as they are written."""

    def of(self, network: nn.Module) -> Callable[..., Any]:
        """What is called for `network`."""
        return network

    def as_written(self) -> AbstractContextManager[None]:
        """Inside, networks compute as they are written."""
        return nullcontext()

    def descending(self) -> AbstractContextManager[None]:
        """Inside, gradients of what networks gave are computed.

        Raises:
            TrialError: they cannot be, of networks that do not compute as they are written.
        """
        return nullcontext()


class GameState:
    """What one training consists of. `step` counts finished generator steps."""

    def __init__(
        self,
        trial: Trial,
        plan: NetworkPlan,
        dataset: Dataset,
        device: torch.device,
        *,
        labelled: bool,
        part: float,
    ) -> None:
        self.trial = trial
        self.plan = plan
        self.dataset = dataset
        self.device = device
        self.labelled = labelled
        self.step = 0
        self.streams = Streams(trial.seed, device)
        generator, discriminator = self._new_networks(derive(trial.seed, "weights"))
        self.arithmetic = Arithmetic(trial.precision, device)
        self.calls = AsWritten()
        """How the networks are called; `trials.engine.compiled` knows another way."""
        self.generator = self.arithmetic.placed(generator)
        self.discriminator = self.arithmetic.placed(discriminator)
        self.optimizers = {
            name: settings.part(settings).build(getattr(self, name).parameters())
            for name, settings in trial.optimizer
        }
        self._supply = supply_of(dataset, device, part)
        self._order = Order(len(dataset), trial.batch_size, self.streams.data, self._supply.where)
        self._discriminator_parameters = list(self.discriminator.parameters())
        torch.manual_seed(derive(trial.seed, "global"))

    def _new_networks(self, seed: int) -> tuple[nn.Module, nn.Module]:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not a GPU's too, whose state nobody kept
            return build(self.plan)

    @property
    def progress(self) -> float:
        """The share of the training that is done, in [0, 1]."""
        return self.step / self.trial.steps

    def real_batch(self) -> tuple[Tensor, Tensor | None]:
        """The next batch of the data in their seeded order: (N, C, H, W) or (N, D), and labels."""
        images, labels = self._supply.next(self._order, self.streams.augmentation)
        return images, labels if self.labelled else None

    def random_batch(self, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """`count` random real images with their labels, outside the order of training."""
        chosen = torch.randint(len(self.dataset), (count,), generator=stream, device=stream.device)
        images, labels = self._supply.at(chosen)
        return images, labels if self.labelled else None

    def random_labels(self, count: int, stream: torch.Generator) -> Tensor | None:
        """Labels of `count` random data points, or None where labels are not used."""
        labels = self._supply.labels
        if not self.labelled or labels is None:
            return None
        chosen = torch.randint(len(self.dataset), (count,), generator=stream, device=stream.device)
        return labels.index_select(0, chosen.to(self.device))

    def score(self, seen: Tensor, labels: Tensor | None) -> Judgement:
        """The discriminator's judgement of images, or packs of them, as it sees them."""
        with self.arithmetic.networks():
            judge = self.calls.of(self.discriminator)
            judgement: Judgement = judge(seen, label_a_pack(labels, len(seen)))
        return judgement

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Inside, networks compute in float32, whatever the trial's precision, and are not
        compiled: for what is differentiated twice, as the gradient of a score is."""
        with self.arithmetic.exact(), self.calls.as_written():
            yield

    def judged_with(self, tensors: Mapping[str, Tensor], compute: Callable[[], Made]) -> Made:
        """What `compute` gives while the discriminator has these weights and buffers, by name,
        instead of its own; its parameters, asked for meanwhile, are these."""
        named = {f"network.{name}": tensor for name, tensor in tensors.items()}
        made: Made = torch.func.functional_call(_Around(self.discriminator), named, (compute,))
        return made

    @contextmanager
    def discriminator_frozen(self) -> Iterator[None]:
        """Inside, no gradient is computed for the discriminator's weights."""
        for parameter in self._discriminator_parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self._discriminator_parameters:
                parameter.requires_grad_(True)

    @contextmanager
    def settings_kept(self) -> Iterator[None]:
        """Inside, a state may be loaded: after it the optimisers have the rates and other
        settings that they had before."""
        kept = {
            name: [
                {setting: value for setting, value in group.items() if setting != "params"}
                for group in optimizer.param_groups
            ]
            for name, optimizer in self.optimizers.items()
        }
        yield
        for name, optimizer in self.optimizers.items():
            for group, settings in zip(optimizer.param_groups, kept[name], strict=True):
                group.update(settings)

    @torch.no_grad()
    def renew_networks(self, seed: int) -> None:
        """Give both players new weights, drawn from `seed`, and optimisers without moments."""
        fresh = self._new_networks(seed)
        for old, new in zip((self.generator, self.discriminator), fresh, strict=True):
            now = old.state_dict()
            for name, value in new.state_dict().items():
                now[name].copy_(value)
        self.forget_moments()

    def forget_moments(self) -> None:
        """Let both players' optimisers begin anew, at the rates that they have."""
        for optimizer in self.optimizers.values():
            optimizer.state.clear()

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of the table to go on exactly."""
        return {
            "step": self.step,
            "data": self.dataset.fingerprint,
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "streams": self.streams.state(),
            "order": self._order.state_dict(),
            **self.arithmetic.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state` was taken.

        Raises:
            StaleCheckpointError: the data have changed since, and nothing would go on exactly.
        """
        # What was saved before data were noted in it is taken on trust.
        if state.get("data", self.dataset.fingerprint) != self.dataset.fingerprint:
            raise StaleCheckpointError(
                "the data are others than those that the checkpoint was trained on: bring those"
                " back, or delete the checkpoint and train from the start"
            )
        self.step = state["step"]
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.arithmetic.load_state(state)
        self._order.load_state_dict(state["order"])
        self.streams.load_state(state["streams"])


class _Around(nn.Module):
    """A network as the part of a module whose call is a function's, for `functional_call`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, compute: Callable[[], Made]) -> Made:
        return compute()
