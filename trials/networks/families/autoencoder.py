"""Judging by reconstruction: EBGAN (arXiv:1609.03126) and BEGAN (arXiv:1703.10717).

An encoder brings the sample to ``code`` numbers, a decoder makes it again from them. Data that
it was taught come back well, others do not: the energy is the reconstruction error.

The :class:`Judgement` holds the reconstruction, from which a loss takes the error in its own
norm; the code as ``features`` (for EBGAN's pulling-away term); and as ``score`` minus the mean
squared error, so that, as everywhere, a higher score is more real.

Images: the encoder is DCGAN's discriminator, the decoder its generator, mirrored, ending in tanh.
Points: fully connected layers. Labels joined to the input are not reconstructed.
"""

from __future__ import annotations

from torch import Tensor, nn

from trials.networks.discriminator import (
    LabelledInput,
    heads_of,
    input_channels,
    labelled_input,
    read_heads,
    refinements,
)
from trials.networks.families import dcgan, mlp
from trials.networks.families.family import SMALLEST, Family
from trials.networks.layers.factory import LayerFactory, option
from trials.networks.layers.virtual_batch import ReferenceBatch
from trials.networks.plan import DiscriminatorPlan, GeneratorPlan, Judgement
from trials.problems import Problem


class AutoencoderDiscriminator(nn.Module):
    """``encoder``: samples → (N, code); ``decoder``: code → samples."""

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
        code = self.encoder(seen)
        again = self.decoder(code)
        score = -(again - x).square().flatten(1).mean(1)
        return Judgement(score, code, read_heads(self.heads, code), again)


def discriminator(plan: DiscriminatorPlan) -> nn.Module:
    """See the module's text."""
    spatial = len(plan.shape) == 3
    make = LayerFactory(plan, spatial=spatial)
    entry = labelled_input(plan)
    inputs = input_channels(plan, entry)
    size = int(option(plan, "code", 64))
    encode = _encode_images if spatial else _encode_points
    encoder = encode(plan, make, inputs, size)
    refined, features = refinements(plan, make, size)
    # The decoder mirrors the encoder; what tricks insert stands in the encoder.
    mirror = GeneratorPlan(
        family=plan.family,
        shape=(plan.shape[0] * plan.pack, *plan.shape[1:]),
        width=plan.width,
        depth=plan.depth,
        norm=plan.norm,
        activation=plan.activation,
        init=plan.init,
        wrap_layer=plan.wrap_layer,
        options=plan.options,
        upsample=option(plan, "upsample", "nearest_conv"),
    )
    decode = dcgan.stages_from if spatial else mlp.stages_from
    decoder = decode(mirror, LayerFactory(mirror, spatial=spatial), features)
    heads = heads_of(plan, make, features)
    return AutoencoderDiscriminator(
        plan, entry, nn.Sequential(*encoder, *refined), nn.Sequential(*decoder), heads
    )


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


def check_discriminator(plan: DiscriminatorPlan) -> list[Problem]:
    """A reconstruction error is no inner product, so classes cannot be projected on it."""
    if plan.conditioning == "projection":
        message = "the autoencoder has no linear score to project classes on"
        return [Problem("networks.discriminator.family", message, "concat conditioning")]
    return []


FAMILY = Family(
    name="autoencoder",
    images=True,
    points=True,
    discriminator=discriminator,
    discriminator_defaults={
        "width": 16,
        "depth": 1,
        "norm": "none",
        "downsample": "strided",
        "upsample": "nearest_conv",
        "activation": "leaky",
        "init": "xavier",
        "code": 64,
        "embedding": 0,
    },
    check_discriminator=check_discriminator,
)
