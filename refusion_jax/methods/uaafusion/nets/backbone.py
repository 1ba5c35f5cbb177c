"""The backbone of the segmentation network: MobileNetV2 of output stride 16.

Sandler et al., MobileNetV2, CVPR 2018. The last stride is replaced by a dilation, as in
DeepLabV3+ (Chen et al., ECCV 2018), so that the features keep a sixteenth of the size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from refusion_jax.array_types import Params
from refusion_jax.methods.uaafusion.nets.layers import (
    Features,
    Moments,
    batch_moments,
    depthwise,
    normalise,
    pointwise,
)

LOW_BLOCKS = 3  # blocks 1 to 3 make the low-level features, a quarter of the size
STEM_WIDTH = 32


class Block(NamedTuple):
    """One inverted residual block.

    Attributes:
      expansion: factor of its inner width.
      channels, out: numbers of channels.
      stride, dilation: of its depthwise convolution.
    """

    expansion: int
    channels: int
    out: int
    stride: int
    dilation: int

    @property
    def is_residual(self) -> bool:
        """Whether its input is added to its output."""
        return self.stride == 1 and self.channels == self.out


def _blocks() -> tuple[Block, ...]:
    groups = (  # expansion, channels, repeats, stride, dilation
        *((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1)),
        *((6, 96, 3, 1, 1), (6, 160, 1, 1, 1), (6, 160, 2, 1, 2), (6, 320, 1, 1, 2)),
    )
    blocks, channels = [], STEM_WIDTH
    for expansion, out, repeats, stride, dilation in groups:
        for repeat in range(repeats):
            stride = stride if repeat == 0 else 1
            blocks.append(Block(expansion, channels, out, stride, dilation))
            channels = out
    return tuple(blocks)


BLOCKS = _blocks()


class Norms:
    """Normalises by running statistics, or by the batch's, which it collects.

    Attributes:
      observed: the batch's moments by name, in the structure of the statistics; empty
        with running ones.
    """

    def __init__(self, statistics: Params, *, by_batch: bool) -> None:
        """Remembers the statistics of one part of the network.

        Args:
          statistics: moments by name.
          by_batch: whether to normalise by the moments of each batch instead.
        """
        self._statistics, self._by_batch = statistics, by_batch
        self.observed: dict[str, Params] = {}

    def __call__(self, name: str, params: Params, x: Features) -> Features:
        """Normalises.

        Args:
          name: of the normalisation.
          params: scale and bias.
          x: the features.
        """
        if not self._by_batch:
            return normalise(params, Moments(**self._statistics[name]), x)
        moments, kept = batch_moments(x)
        self.observed[name] = kept._asdict()
        return normalise(params, moments, x)


def stem(params: Params, norms: Norms, image: Features) -> Features:
    """Runs the first convolution, which halves the size.

    Args:
      params: of the stem: kernel and norm.
      norms: of the stem.
      image: one channel.
    """
    x = depthwise(params["kernel"], image, stride=2)
    return _relu6(norms("norm", params["norm"], x))


def inverted_residual(
    block: Block, params: Params, norms: Norms, x: Features
) -> Features:
    """Runs one block: expand, convolve each channel, project.

    Args:
      block: what it is like.
      params: kernels and norms of expand (unless expansion is 1), depthwise, project.
      norms: of the block.
      x: the features.
    """
    y = x
    if block.expansion > 1:
        y = pointwise(params["expand"]["kernel"], y)
        y = _relu6(norms("expand", params["expand"]["norm"], y))
    y = depthwise(
        params["depthwise"]["kernel"],
        y,
        stride=block.stride,
        dilation=block.dilation,
    )
    y = _relu6(norms("depthwise", params["depthwise"]["norm"], y))
    y = norms(
        "project",
        params["project"]["norm"],
        pointwise(params["project"]["kernel"], y),
    )
    return x + y if block.is_residual else y


def init_stem(key: Array) -> Params:
    """Draws the stem; see `init_block`."""
    return {"kernel": _he(key, (3, 3, STEM_WIDTH), 9 * STEM_WIDTH)} | {
        "norm": init_norm(STEM_WIDTH)
    }


def init_block(key: Array, block: Block) -> Params:
    """Draws a block: N(0, 2 / fan_out), norms of scale 1.

    A depthwise kernel feeds one channel, so its fan_out is 9; MobileNetV2's code counts
    9 for each channel there. The normalisation behind it undoes the difference.

    Args:
      key: random key.
      block: what it is like.
    """
    expand_key, depthwise_key, project_key = jax.random.split(key, 3)
    inner = block.expansion * block.channels
    expand = {
        "kernel": _he(expand_key, (block.channels, inner), inner),
        "norm": init_norm(inner),
    }
    return ({"expand": expand} if block.expansion > 1 else {}) | {
        "depthwise": {
            "kernel": _he(depthwise_key, (3, 3, inner), 9),
            "norm": init_norm(inner),
        },
        "project": {
            "kernel": _he(project_key, (inner, block.out), block.out),
            "norm": init_norm(block.out),
        },
    }


def init_norm(channels: int) -> Params:
    """Returns a normalisation that changes neither scale nor mean."""
    return {
        "scale": jnp.ones((channels,), jnp.float32),
        "bias": jnp.zeros((channels,), jnp.float32),
    }


def _he(key: Array, shape: tuple[int, ...], fan_out: int) -> Array:
    return jax.random.normal(key, shape, jnp.float32) * (2 / fan_out) ** 0.5


def _relu6(x: Features) -> Features:
    return jnp.clip(x, 0, 6)
