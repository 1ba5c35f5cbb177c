"""Losses as functions of parameters: the only place where networks meet losses."""

from typing import NamedTuple

from jax import Array

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.refusion.losses import (
    Loss,
    WeightMaps,
    fusion_loss,
    reconstruction_loss,
)
from refusion_jax.methods.refusion.nets.networks import Nets
from refusion_jax.methods.refusion.state import Pairs


class Objectives(NamedTuple):
    """L_f and L_r with everything fixed except the parameters and the batch.

    Attributes:
      nets: F, R and P.
      alpha_fusion: alpha_1 of Eq. 1.
      alpha_reconstruction: alpha_2 of Eq. 4.
      weight_power: 1 (paper) or 2 (the authors' code), see `losses.fusion_loss`.
      reduction: "max" (paper) or "sum", see `losses.reconstruction_loss`.
    """

    nets: Nets = Nets()
    alpha_fusion: float | Array = 1.0
    alpha_reconstruction: float = 1.0
    weight_power: int = 1
    reduction: str = "max"

    def fuse(self, fusion_params: Params, batch: Pairs) -> Image:
        """Returns I_f = F(I_a, I_b; theta_F)."""
        return self.nets.fuse(fusion_params, batch.source_a, batch.source_b)

    def propose(self, proposal_params: Params, batch: Pairs) -> WeightMaps:
        """Returns w, v = P(I_a, I_b; theta_P)."""
        return self.nets.propose(proposal_params, batch.source_a, batch.source_b)

    def fusion_loss(self, fused: Image, weights: WeightMaps, batch: Pairs) -> Loss:
        """Returns L_f of a fused image under given weights (Eqs. 1 to 3)."""
        return fusion_loss(
            fused,
            batch.source_a,
            batch.source_b,
            weights,
            alpha=self.alpha_fusion,
            weight_power=self.weight_power,
        )

    def fusion(self, fusion_params: Params, weights: WeightMaps, batch: Pairs) -> Loss:
        """Returns L_f as a function of theta_F, and of theta_P through the weights."""
        return self.fusion_loss(self.fuse(fusion_params, batch), weights, batch)

    def reconstruction(
        self, reconstruction_params: Params, fused: Image, batch: Pairs
    ) -> Loss:
        """Returns L_r as a function of theta_R, and of theta_F through `fused`."""
        if batch.noise is not None:
            fused = fused + batch.noise
        recon_a, recon_b = self.nets.reconstruct(reconstruction_params, fused)
        return reconstruction_loss(
            recon_a,
            recon_b,
            batch.target_a,
            batch.target_b,
            alpha=self.alpha_reconstruction,
            reduction=self.reduction,
        )
