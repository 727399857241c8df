"""Judging by reconstruction: EBGAN (arXiv:1609.03126) and BEGAN (arXiv:1703.10717).

An encoder brings the sample to `code` numbers, a decoder makes it again from them. Data that
it was taught come back well, others do not: the energy is the reconstruction error.

The `Judgement` holds the reconstruction, from which a loss takes the error in its own
norm; the code as `features` (for EBGAN's pulling-away term); and as `score` minus the mean
squared error, so that, as everywhere, a higher score is more real.

Images: the encoder is DCGAN's discriminator, the decoder its generator, mirrored, ending in tanh.
Points: fully connected layers. Labels joined to the input are not reconstructed.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from trials.networks import knobs
from trials.networks.discriminator import (
    LabelledInput,
    heads_of,
    input_channels,
    labelled_input,
    read_heads,
    refinements,
)
from trials.networks.families import dcgan, mlp
from trials.networks.family import SMALLEST, Family, PlayerKnobs
from trials.networks.layers.exact import whole
from trials.networks.layers.factory import LayerFactory
from trials.networks.layers.virtual_batch import ReferenceBatch
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, Judgement
from trials.problems import Problem


class AutoencoderDiscriminator(nn.Module):
    """`encoder`: samples → (N, code); `decoder`: code → samples."""

    def __init__(
        self,
        plan: DiscriminatorPlan,
        entry: LabelledInput | None,
        encoder: nn.Module,
        decoder: nn.Module,
        heads: nn.ModuleDict,
    ) -> None:
        super().__init__()
        self.entry = entry
        self.encoder = encoder
        self.decoder = decoder
        self.heads = heads
        self.reference = ReferenceBatch() if plan.norm == "virtual_batch" else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Judgement:
        """x (N, pack·C, H, W) or (N, pack·D); the reconstruction has the same shape."""
        if self.reference is None:
            return self._judge(x, labels)
        with self.reference.statistics(self, self._judge, (x, labels)):
            return self._judge(x, labels)

    def _judge(self, x: Tensor, labels: Tensor | None = None) -> Judgement:
        seen = x if self.entry is None else self.entry(x, labels)
        code = whole(self.encoder(seen))
        again = self.decoder(code)
        score = -(again - x).square().flatten(1).mean(1)
        return Judgement(score, code, read_heads(self.heads, code), again)


def _encode_images(
    plan: DiscriminatorPlan, make: LayerFactory, inputs: int, size: int
) -> list[nn.Module]:
    trunk, channels = dcgan.convolutions(plan, make, inputs)
    return [*trunk, nn.Flatten(), make.linear(channels * SMALLEST * SMALLEST, size)]


def _encode_points(
    plan: DiscriminatorPlan, make: LayerFactory, inputs: int, size: int
) -> list[nn.Module]:
    layers = mlp.hidden_layers(make, inputs)
    return [*layers, make.linear(plan.width, size)]


class Autoencoder(Family):
    """A discriminator that reconstructs."""

    key = "autoencoder"
    summary = "judges by how well it reconstructs (EBGAN, BEGAN)"
    points = True

    class DiscriminatorKnobs(PlayerKnobs):
        """The knobs of an autoencoder."""

        width: knobs.Channels = 16
        depth: knobs.Convolutions = 1
        norm: knobs.DiscriminatorNorm = "none"
        downsample: knobs.Downsample = "strided"
        upsample: knobs.Upsample = "nearest_conv"
        activation: knobs.Activation = "leaky"
        init: knobs.Init = "xavier"
        bias: knobs.Bias = "auto"
        embedding: knobs.Embedding = 0
        code: Annotated[
            int, Field(ge=1, le=4096, description="numbers between encoder and decoder")
        ] = 64

    @classmethod
    def discriminator(cls, plan: DiscriminatorPlan) -> nn.Module:
        """Images (N, pack·C, H, W) or points (N, pack·D) → their reconstruction, judged."""
        assert isinstance(plan.knobs, cls.DiscriminatorKnobs)
        spatial = len(plan.shape) == 3
        make = LayerFactory(plan, spatial=spatial)
        entry = labelled_input(plan)
        inputs = input_channels(plan, entry)
        size = plan.knobs.code
        encode = _encode_images if spatial else _encode_points
        encoder = encode(plan, make, inputs, size)
        refined, features = refinements(plan, make, size)
        # The decoder mirrors the encoder; what tricks insert stands in the encoder.
        mirror = GeneratorPlan(
            family=plan.family,
            knobs=plan.knobs,
            shape=(plan.shape[0] * plan.pack, *plan.shape[1:]),
            width=plan.width,
            depth=plan.depth,
            norm=plan.norm,
            activation=plan.activation,
            init=plan.init,
            wrap_layer=plan.wrap_layer,
            bias=plan.bias,
            pieces=plan.pieces,
            upsample=plan.knobs.upsample,
        )
        decode = dcgan.stages_from if spatial else mlp.stages_from
        decoder = decode(mirror, LayerFactory(mirror, spatial=spatial), features)
        heads = heads_of(plan, make, features)
        return AutoencoderDiscriminator(
            plan, entry, nn.Sequential(*encoder, *refined), nn.Sequential(*decoder), heads
        )

    @classmethod
    def check_discriminator(cls, plan: DiscriminatorPlan) -> list[Problem]:
        """A reconstruction error is no inner product, so classes cannot be projected on it."""
        if plan.conditioning == "projection":
            message = "the autoencoder has no linear score to project classes on"
            return [Problem("networks.discriminator.family", message, "concat conditioning")]
        return []
