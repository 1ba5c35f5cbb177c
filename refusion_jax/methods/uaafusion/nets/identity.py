"""A start of F whose proximal networks pass their picture on.

PyTorch's numbers shrink what a convolution is given: what differs between the pixels of
a stage's output is about a fifth of what it is in the stage before, 1e-7 of a grey
level's range after five. F then is a flat grey that gradients hardly reach. Here each
proximal network starts as that of no prior, which is the identity, up to a sigmoid:

    f^(k) = sigmoid(4 (F0 - 1/2)),      of slope 1 at grey

One of the channels carries F0 - 1/2; PyTorch's numbers are left in all others.
"""

import jax.numpy as jnp

from refusion_jax.array_types import Params

GREY, GAIN = 0.5, 4.0


def passing_on(fusion: Params) -> Params:
    """Returns theta_F with proximal networks that start as the identity.

    Args:
      fusion: theta_F, as `init_fusion` makes it.
    """
    stages = fusion["stages"]
    passing = {
        "features": _passing(stages["features"], shift=-GREY),
        "recall": _passing(stages["recall"]),
        "attention": {
            **stages["attention"],
            "second": _without(stages["attention"]["second"]),
        },
        "output": _passing(stages["output"], gain=GAIN),
    }
    return {**fusion, "stages": {**stages, **passing}}


def _passing(unit: Params, *, shift: float = 0.0, gain: float = 1.0) -> Params:
    """Returns units of all stages whose first result is gain (first channel + shift).

    A PReLU of slope s keeps what its argument and the negative of that have in common:
    PReLU(x) - PReLU(-x) = (1 + s) x.
    """
    first, second = unit["first"], unit["second"]
    signs = jnp.array([1.0, -1.0])
    kernel = first["kernel"].at[..., :2].set(0)
    kernel = kernel.at[:, 1, 1, 0, :2].set(signs)
    bias = first["bias"].at[:, :2].set(shift * signs)
    share = gain / (1 + unit["slope"])
    last = _without(second)
    last["kernel"] = last["kernel"].at[:, 1, 1, :2, 0].set(jnp.outer(share, signs))
    return {**unit, "first": {"kernel": kernel, "bias": bias}, "second": last}


def _without(convolution: Params) -> Params:
    """Returns convolutions whose first result is 0."""
    return {
        "kernel": convolution["kernel"].at[..., 0].set(0),
        "bias": convolution["bias"].at[..., 0].set(0),
    }
