"""The loops that a GPU's rows are measured against, as a person would write them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def _endless(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[Tensor]:
    while True:
        for (batch,) in loader:
            yield batch


def _dcgan_networks(width: int, size: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of the example, whose images are 64×64."""
    doublings = (size // 8).bit_length() - 1
    wide = width << doublings
    makes: list[nn.Module] = [
        nn.ConvTranspose2d(100, wide, 4, 1, 0, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)
    ]  # fmt: skip
    judges: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for index in range(doublings):
        down, up = wide >> index, width << index
        makes += [
            nn.ConvTranspose2d(down, down // 2, 4, 2, 1, bias=False),
            *(nn.BatchNorm2d(down // 2), nn.ReLU(True)),
        ]
        judges += [
            nn.Conv2d(up, 2 * up, 4, 2, 1, bias=False),
            *(nn.BatchNorm2d(2 * up), nn.LeakyReLU(0.2, True)),
        ]
    makes += [nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    judges += [nn.Conv2d(wide, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*makes), nn.Sequential(*judges)


def dcgan_example(
    images: Tensor, batch: int, width: int, device: torch.device
) -> Callable[[], None]:
    """One step of the loop in pytorch/examples, dcgan/main.py: float32, two backward passes of the
    discriminator, and its five numbers read and told at every step."""
    generator, discriminator = (net.to(device) for net in _dcgan_networks(width, images.shape[-1]))
    criterion = nn.BCELoss()
    judge = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    maker = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    floats = TensorDataset(images.float() / 127.5 - 1)
    loader = DataLoader(
        floats,
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=2,  # the example's default
        persistent_workers=True,
    )
    batches = _endless(loader)

    def step() -> None:
        real = next(batches).to(device)
        discriminator.zero_grad()
        label = torch.full((batch,), 1.0, device=device)
        output = discriminator(real).view(-1)
        real_error = criterion(output, label)
        real_error.backward()
        told = [output.mean().item()]
        fake = generator(torch.randn(batch, 100, 1, 1, device=device))
        label.fill_(0.0)
        output = discriminator(fake.detach()).view(-1)
        fake_error = criterion(output, label)
        fake_error.backward()
        told += [output.mean().item()]
        judge.step()
        generator.zero_grad()
        label.fill_(1.0)
        output = discriminator(fake).view(-1)
        error = criterion(output, label)
        error.backward()
        maker.step()
        told += [output.mean().item(), (real_error + fake_error).item(), error.item()]

    return step


def _gradient_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    mixed = (share * real + (1 - share) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(mixed).score.sum(), mixed, create_graph=True)
    penalty: Tensor = 10 * (slope.flatten(1).norm(2, dim=1) - 1).square().mean()
    return penalty


def eager_sngan(
    generator: nn.Module, discriminator: nn.Module, images: Tensor, batch: int, *, penalty: bool
) -> Callable[[], None]:
    """One round of a plain loop in float32: five critic steps, a generator step, an average."""
    judge = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.0, 0.9))
    maker = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.0, 0.9))
    averaged = copy.deepcopy(generator)

    def noise() -> Tensor:
        return torch.randn(batch, 128, device=images.device)

    def step() -> None:
        for _ in range(5):
            chosen = torch.randint(len(images), (batch,), device=images.device)
            real = images[chosen].float() / 127.5 - 1
            with torch.no_grad():
                fake = generator(noise())
            r, f = discriminator(real).score, discriminator(fake).score
            loss = F.relu(1 - r).mean() + F.relu(1 + f).mean()
            if penalty:
                loss = loss + _gradient_penalty(discriminator, real, fake)
            judge.zero_grad()
            torch.autograd.backward(loss)
            judge.step()
        loss = -discriminator(generator(noise())).score.mean()
        maker.zero_grad()
        torch.autograd.backward(loss)
        maker.step()
        with torch.no_grad():
            for mean, value in zip(averaged.parameters(), generator.parameters(), strict=True):
                mean.lerp_(value, 0.001)

    return step
