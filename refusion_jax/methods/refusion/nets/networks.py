"""The three networks as pure functions of their parameters.

A parameter tree determines the variant of its network (an F without the AFM has no AFM
parameters, R's width is a dimension of its first kernel), so the tree alone is enough
to run it.
"""

from collections.abc import Callable, Container, Mapping
from functools import cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from refusion_jax.array_types import Image, Params, Shapes
from refusion_jax.devices.data_parallel import divided
from refusion_jax.devices.mesh import device_mesh
from refusion_jax.methods.refusion.losses import WeightMaps
from refusion_jax.methods.refusion.nets.fusion import FusionModule
from refusion_jax.methods.refusion.nets.proposal import LossProposalModule
from refusion_jax.methods.refusion.nets.reconstruction import ReconstructionModule
from refusion_jax.methods.refusion.nets.strips import Grid
from refusion_jax.methods.refusion.nets.tiles import AXIS, Tiling


class NetsParams(NamedTuple):
    """One parameter tree per network: theta_F, theta_R, theta_P."""

    fusion: Params
    reconstruction: Params
    proposal: Params


class Variant(NamedTuple):
    """The optional parts of F, the switches of ablations V to VIII.

    Attributes:
      interaction: cross attention between the sources.
      gating: gated refinement of the joint features.
      decision: weights of the sources' pixels in place of pixels.
    """

    interaction: bool
    gating: bool
    decision: bool


def variant(fusion_params: Container[str]) -> Variant:
    """Returns the variant that parameters of F belong to.

    Args:
      fusion_params: theta_F, or the names of its parts.
    """
    parts = ("cross_attention", "refinement", "decision_tail")
    return Variant(*(part in fusion_params for part in parts))


def is_fusion(params: object) -> bool:
    """Returns whether a tree can be one of F, in any variant."""
    return isinstance(params, Mapping) and "tail1" in params


def shapes_of(name: str, leaves: Mapping[str, Any]) -> Shapes:
    """Returns the shapes that a tree must have in the variant that its leaves imply.

    Args:
      name: "fusion", "reconstruction" or "proposal".
      leaves: arrays by path; some may be missing.

    Returns:
      Shape by path.
    """
    if name == "fusion":
        return _shapes(
            init_fusion, **variant({leaf.split("/")[0] for leaf in leaves})._asdict()
        )
    if name == "proposal":
        return _shapes(init_proposal, balanced="spread" in leaves)
    stack = np.shape(leaves.get("branches/encoder/body/attention/qkv", ()))
    # Other values are no variant; a comparison with the default shows what is wrong.
    if len(stack) == 4 and stack[1] <= 64 and stack[3] in range(8, 1025, 8):
        return _shapes(init_reconstruction, blocks=stack[1], width=stack[3])
    return _shapes(init_reconstruction)


@cache
def _shapes(init: Callable[..., Params], **variant: Any) -> Shapes:
    key = jax.eval_shape(jax.random.key, 0)
    tree = jax.eval_shape(partial(init, **variant), key)
    return flatten_dict(jax.tree.map(lambda leaf: leaf.shape, tree), sep="/")


def fuse(
    params: Params, source_a: Image, source_b: Image, grid: Grid | None = None
) -> Image:
    """Runs F, in the variant that the parameters imply.

    Args:
      params: theta_F.
      source_a, source_b: luminance in [0, 1], any size.
      grid: how to cut the pictures; None chooses what suits the device.

    Returns:
      The fused luminance in (0, 1), same shape, not rescaled.
    """
    module = FusionModule(*variant(params))
    return cast(Image, module.apply({"params": params}, source_a, source_b, grid))


def fuse_tiles(params: Params, tiles: Array, tiling: Tiling) -> tuple[Array, Array]:
    """Runs F for inference, in the memory of one feature map whatever the size.

    Args:
      params: theta_F.
      tiles: source a and b as `nets.tiles.cut` returns them, luminance in [0, 1]:
        devices x 2 x tiles x extended; tiles beyond the tiling's count are ignored.
      tiling: tiling of the picture.

    Returns:
      The fused luminance in (0, 1) for `nets.tiles.join`: devices x tiles x length; and
      the last features, see `nets.fusion.state_shape`, with a leading axis of devices:
      they are never read, but the next picture may reuse their memory.
    """
    module = FusionModule(*variant(params))

    def of_device(params: Params, tiles: Array, tiling: Tiling) -> tuple[Array, Array]:
        results = module.apply({"params": params}, tiles[0], tiling, method="on_tiles")
        fused, features = cast(tuple[Array, Array], results)
        return fused[None], features[None]

    if tiling.devices == 1:
        return of_device(params, tiles, tiling)
    whole, part = PartitionSpec(), PartitionSpec(AXIS)
    return jax.shard_map(
        of_device,
        mesh=device_mesh(tiling.devices, AXIS),
        in_specs=(whole, part, whole),
        out_specs=part,
        check_vma=False,  # our primitives do not declare what is equal on all devices
    )(params, tiles, tiling)


def reconstruct(params: Params, fused: Image) -> tuple[Image, Image]:
    """Runs R, in the width and depth that the parameters imply.

    Args:
      params: theta_R.
      fused: luminance in [0, 1].

    Returns:
      recon_a, recon_b: luminance in (0, 1), same shape.
    """
    encoder = params["branches"]["encoder"]
    module = ReconstructionModule(
        width=encoder["project_in"].shape[1],
        blocks=encoder["body"]["attention"]["temperature"].shape[1],
    )
    pair = module.apply({"params": params}, fused)
    return cast(tuple[Image, Image], pair)


def propose(params: Params, source_a: Image, source_b: Image) -> WeightMaps:
    """Runs P, balanced if the parameters have a spread.

    Args:
      params: theta_P.
      source_a, source_b: luminance in [0, 1].

    Returns:
      Weight maps; each pair sums to one at every pixel.
    """
    module = LossProposalModule(balanced="spread" in params)
    return cast(WeightMaps, module.apply({"params": params}, source_a, source_b))


class Nets(NamedTuple):
    """F, R and P as the losses and the meta-gradient see them; tests replace them."""

    fuse: Callable[[Params, Image, Image], Image] = fuse
    reconstruct: Callable[[Params, Image], tuple[Image, Image]] = reconstruct
    propose: Callable[[Params, Image, Image], WeightMaps] = propose

    def divided(self, mesh: Mesh) -> "Nets":
        """Returns the networks, and derivatives, with the batch divided over a mesh."""
        return Nets(
            fuse=divided(self.fuse, pictures=2, mesh=mesh),
            reconstruct=divided(self.reconstruct, pictures=1, mesh=mesh),
            propose=divided(self.propose, pictures=2, mesh=mesh),
        )


def init_fusion(
    key: Array,
    *,
    interaction: bool = True,
    gating: bool = True,
    decision: bool = False,
) -> Params:
    """Initialises parameters of F, see `init_params`."""
    image = jnp.zeros((1, 8, 8, 1), jnp.float32)
    module = FusionModule(interaction, gating, decision)
    return module.init(key, image, image)["params"]


def init_reconstruction(key: Array, *, width: int = 16, blocks: int = 2) -> Params:
    """Initialises parameters of R, see `init_params`."""
    image = jnp.zeros((1, 8, 8, 1), jnp.float32)
    return ReconstructionModule(width, blocks).init(key, image)["params"]


def init_proposal(key: Array, *, balanced: bool = False) -> Params:
    """Initialises parameters of P, see `init_params`."""
    image = jnp.zeros((1, 8, 8, 1), jnp.float32)
    return LossProposalModule(balanced).init(key, image, image)["params"]


def init_params(
    key: Array,
    *,
    interaction: bool = True,
    gating: bool = True,
    decision: bool = False,
    reconstruction_width: int = 16,
    reconstruction_blocks: int = 2,
    balanced: bool = False,
) -> NetsParams:
    """Initialises float32 parameters of F, R and P as PyTorch does for convolutions.

    Args:
      key: PRNG key.
      interaction, gating: parts of F's fusion module (ablations VI to VIII).
      decision: whether F weighs the sources' pixels (ablation V).
      reconstruction_width: channels of R's branches; a multiple of the 8 heads.
      reconstruction_blocks: transformer blocks of each of R's branches.
      balanced: whether P is balanced, see `nets.proposal`.

    Returns:
      The three trees.
    """

    def init(key: Array) -> NetsParams:
        fusion_key, reconstruction_key, proposal_key = jax.random.split(key, 3)
        return NetsParams(
            init_fusion(
                fusion_key, interaction=interaction, gating=gating, decision=decision
            ),
            init_reconstruction(
                reconstruction_key,
                width=reconstruction_width,
                blocks=reconstruction_blocks,
            ),
            init_proposal(proposal_key, balanced=balanced),
        )

    if isinstance(key, jax.core.Tracer):
        return init(key)  # part of a caller's program, such as eval_shape
    # Compiled without optimisation, because the program runs once and optimising it
    # would take far longer than running it.
    in_a_hurry = {"xla_backend_optimization_level": 0}
    return jax.jit(init, compiler_options=in_a_hurry)(key)
