"""The families of networks, by name. A family is one file that ends in a ``FAMILY``."""

from __future__ import annotations

from trials.networks.families import autoencoder, biggan, dcgan, mlp, resnet
from trials.networks.families.family import Family

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY for module in (dcgan, resnet, biggan, mlp, autoencoder)
}
