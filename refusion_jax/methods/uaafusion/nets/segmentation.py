"""S, the segmentation network: the decoder of DeepLabV3+ on MobileNetV2, without ASPP.

Chen et al., Encoder-Decoder with Atrous Separable Convolution, ECCV 2018. Normalisation
by the batch is functional: a call returns the moments it has observed, and `update`
moves the running statistics.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from refusion_jax.array_types import Image, Params
from refusion_jax.methods.uaafusion.nets.backbone import (
    BLOCKS,
    LOW_BLOCKS,
    Norms,
    init_block,
    init_norm,
    init_stem,
    inverted_residual,
    stem,
)
from refusion_jax.methods.uaafusion.nets.layers import (
    Features,
    convolution,
    dropout,
    init_convolution,
    per_channel,
    pointwise,
    resize,
    resized_convolution,
)

Logits = Float[Array, "batch height width classes"]
# A picture to the logits of each class; S itself or anyone's.
Segment = Callable[[Image], Logits]
MOMENTUM = 0.1  # share of a batch in the running statistics
LOW_WIDTH, DECODER_WIDTH = 48, 256
DROPOUT_FIRST, DROPOUT_SECOND = 0.5, 0.1


def segment(params: Params, statistics: Params, image: Image) -> Logits:
    """Returns the logits of each class, normalised by running statistics.

    Args:
      params: theta_S, as `init_segmentation` makes them.
      statistics: the running statistics.
      image: luminance in [0, 1], any size.
    """
    logits, _ = segment_in_training(params, statistics, image, by_batch=False)
    return logits


def classes_told(network: Segment) -> int:
    """Returns the number of classes that a segmentation network tells apart.

    Args:
      network: any function of a picture, which is not run.
    """
    picture = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
    count: int = jax.eval_shape(network, picture).shape[-1]
    return count


def segment_in_training(
    params: Params,
    statistics: Params,
    image: Image,
    *,
    by_batch: bool = True,
    key: Array | None = None,
) -> tuple[Logits, Params]:
    """Returns the logits of each class, and the moments of the batch.

    Args:
      params, statistics, image: see `segment`.
      by_batch: whether to normalise by the batch's moments.
      key: random key of the two dropouts; None leaves them out.

    Returns:
      The logits, and the observed moments in the structure of the statistics; without
      `by_batch` the moments are an empty tree.
    """
    low, observed = low_logits(params, statistics, image, by_batch=by_batch, key=key)
    return resize(low, *image.shape[1:3]), observed


def low_logits(
    params: Params,
    statistics: Params,
    image: Image,
    *,
    by_batch: bool = False,
    key: Array | None = None,
) -> tuple[Logits, Params]:
    """Returns the logits at a quarter of the size, see `segment_in_training`."""
    observed: dict[str, Params] = {}

    def run(name: str, function: Callable[..., Any], *args: Any) -> Features:
        norms = Norms(statistics[name], by_batch=by_batch)
        result = function(*args[:-1], params[name], norms, args[-1])
        observed[name] = norms.observed
        return result

    x = run("stem", stem, image)
    low = x
    for number, block in enumerate(BLOCKS, start=1):
        x = run(block_name(number), inverted_residual, block, x)
        if number == LOW_BLOCKS:
            low = x
    decoder, norms = params["decoder"], Norms(statistics["decoder"], by_batch=by_batch)
    part = decoder["low"]
    low = pointwise(part["kernel"], low) + per_channel(part["bias"])
    low = jax.nn.relu(norms("low", part["norm"], low))
    first, second = decoder["first"], decoder["second"]
    # The convolution of [resized x, low], in two parts: see `resized_convolution`.
    kernel = first["kernel"]
    channels = x.shape[-1]
    x = resized_convolution(kernel[:, :, :channels], x, *low.shape[1:3])
    x = x + convolution({**first, "kernel": kernel[:, :, channels:]}, low)
    x = jax.nn.relu(norms("first", first["norm"], x))
    keys = (None, None) if key is None else jax.random.split(key)
    x = _dropped(x, DROPOUT_FIRST, keys[0])
    x = jax.nn.relu(norms("second", second["norm"], convolution(second, x)))
    x = _dropped(x, DROPOUT_SECOND, keys[1])
    observed["decoder"] = norms.observed
    classes = decoder["classes"]
    logits = pointwise(classes["kernel"], x) + per_channel(classes["bias"])
    return logits, observed if by_batch else {}


def _dropped(x: Features, rate: float, key: Array | None) -> Features:
    return x if key is None else dropout(x, rate, key)


def update(statistics: Params, observed: Params) -> Params:
    """Moves the running statistics a tenth of the way to a batch's moments.

    Args:
      statistics: the running ones.
      observed: the batch's, from `segment_in_training`.
    """
    return jax.tree.map(
        lambda running, batch: running + MOMENTUM * (batch - running),
        statistics,
        observed,
    )


def update_in_order(statistics: Params, observed: Params) -> Params:
    """Moves the running statistics by batch after batch.

    Args:
      statistics: the running ones.
      observed: moments with a leading axis of batches.
    """
    after, _ = jax.lax.scan(
        lambda running, batch: (update(running, batch), None), statistics, observed
    )
    return after


def init_segmentation(key: Array, classes: int) -> Params:
    """Draws theta_S; 3,255,519 parameters with 15 classes.

    Args:
      key: random key.
      classes: number of classes, the unlabelled one included.
    """
    keys = iter(jax.random.split(key, len(BLOCKS) + 5))
    params = {"stem": init_stem(next(keys))}
    for number, block in enumerate(BLOCKS, start=1):
        params[block_name(number)] = init_block(next(keys), block)
    low, high = BLOCKS[LOW_BLOCKS - 1].out, BLOCKS[-1].out
    width = DECODER_WIDTH
    params["decoder"] = {
        "low": init_convolution(next(keys), low, LOW_WIDTH, size=1)
        | {"norm": init_norm(LOW_WIDTH)},
        "first": init_convolution(next(keys), high + LOW_WIDTH, width)
        | {"norm": init_norm(width)},
        "second": init_convolution(next(keys), width, width)
        | {"norm": init_norm(width)},
        "classes": init_convolution(next(keys), width, classes, size=1),
    }
    return params


def init_statistics() -> Params:
    """Returns running statistics of mean 0 and variance 1."""

    def of(width: int) -> Params:
        return {"mean": jnp.zeros((width,)), "variance": jnp.ones((width,))}

    statistics: dict[str, Params] = {"stem": {"norm": of(BLOCKS[0].channels)}}
    for number, block in enumerate(BLOCKS, start=1):
        inner = block.expansion * block.channels
        expand = {"expand": of(inner)} if block.expansion > 1 else {}
        statistics[block_name(number)] = expand | {
            "depthwise": of(inner),
            "project": of(block.out),
        }
    statistics["decoder"] = {
        "low": of(LOW_WIDTH),
        "first": of(DECODER_WIDTH),
        "second": of(DECODER_WIDTH),
    }
    return statistics


def block_name(number: int) -> str:
    """Returns the name of a block's parameters; blocks count from 1."""
    return f"block_{number:02d}"
