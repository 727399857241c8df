"""Orthogonal regularisation (Brock et al. 2016, arXiv:1609.07093; 2018, arXiv:1809.11096).

    full           β ‖WᵀW − I‖²_F
    off_diagonal   β ‖WᵀW ⊙ (1 − I)‖²_F      BigGAN's: the filters' norms are left free

summed over the layers. Which of WᵀW and WWᵀ is meant by a filter bank is a convention; here W has
one row a filter (output), and the Gram matrix of the filters is taken, as BigGAN's code does. It
leaves out the generator's class embedding, as that code does, unless `class_embedding` is on.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.toolkit.weights import weight_matrices
from trials.trick import Trick


def penalty(weight: Tensor, kind: Literal["full", "off_diagonal"]) -> Tensor:
    """‖WWᵀ − I‖²_F or ‖WWᵀ ⊙ (1 − I)‖²_F of filters (outputs, inputs); a scalar."""
    gram = weight @ weight.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    if kind == "off_diagonal":
        return (gram * (1 - identity)).square().sum()
    return (gram - identity).square().sum()


class OrthogonalRegularisation(Trick):
    """Filters that do not repeat each other."""

    key = "orthogonal_regularisation"
    group = "penalties"
    summary = "pulls the filters of each layer towards orthogonality"
    formula = "β ‖WᵀW - I‖²_F,  or BigGAN's β ‖WᵀW ⊙ (1 - I)‖²_F"
    paper = "Brock et al. 2018, arXiv:1809.11096"
    reread = ("the shared class embedding is left out, which class_embedding: true takes in",)
    example = {"conditioning": "concat", "networks": {"generator": {"embedding": 4}}}

    class Config(PartConfig):
        weight: float = knob(
            1e-4, "β", gt=0, search={"min": 1e-6, "max": 1e-2, "distribution": "log_uniform"}
        )
        kind: Literal["off_diagonal", "full"] = knob("off_diagonal", "BigGAN's form, or the first")
        players: Literal["generator", "discriminator", "both"] = knob("generator", "whose layers")
        class_embedding: bool = knob(False, "take in the generator's class embedding")

    def _total(self, network: nn.Module, *, embeddings: bool = True) -> Tensor:
        matrices = weight_matrices(network, embeddings=embeddings)
        values = [penalty(matrix, self.config.kind) for matrix in matrices]
        total: Tensor = self.config.weight * torch.stack(values).sum()
        return total

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        if self.config.players == "generator":
            return terms
        return {**terms, "orthogonal_regularisation": self._total(game.discriminator)}

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        if self.config.players == "discriminator":
            return terms
        total = self._total(game.generator, embeddings=self.config.class_embedding)
        return {**terms, "orthogonal_regularisation": total}
