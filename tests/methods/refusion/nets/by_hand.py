"""Parts of the networks as the specification has them, in numpy.

Features are those of one picture, [channels, height, width].
"""

import math

import numpy as np

HEADS = 8


def layer_norm(x, params):
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    normalised = (x - mean) / np.sqrt(variance + 1e-5)
    return normalised * params["scale"][:, None, None] + params["bias"][:, None, None]


def conv1x1(x, kernel):
    return np.einsum("oc,chw->ohw", kernel, x)


def depthwise(x, kernel):
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros_like(x)
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + height, j : j + width]
            result += kernel[:, i, j][:, None, None] * window
    return result


def attention(x, params):
    qkv = depthwise(conv1x1(x, params["qkv"]), params["qkv_depthwise"])
    q, k, v = (z.reshape(HEADS, -1, x[0].size) for z in np.split(qkv, 3))
    q, k = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in (q, k))
    logits = q @ k.swapaxes(1, 2) * params["temperature"][:, None, None]
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return conv1x1((weights @ v).reshape(x.shape), params["project_out"])


def feed_forward(x, params):
    hidden = depthwise(conv1x1(x, params["project_in"]), params["depthwise"])
    gate, content = np.split(hidden, 2)
    gelu = gate * 0.5 * (1 + np.vectorize(math.erf)(gate / math.sqrt(2)))
    return conv1x1(gelu * content, params["project_out"])


def block(x, params):
    x = x + attention(layer_norm(x, params["norm1"]), params["attention"])
    return x + feed_forward(layer_norm(x, params["norm2"]), params["feed_forward"])


def conv3x3(x, kernel):
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return sum(
        conv1x1(padded[:, i : i + height, j : j + width], kernel[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )


def blocks(x, params):
    """Applies stacked blocks, one after the other."""
    for i in range(len(params["norm1"]["scale"])):
        x = block(x, one_of(params, i))
    return x


def encode(x, params):
    return blocks(conv3x3(x, params["project_in"]), params["body"])


def one_of(params, index):
    """Returns one of several trees that are stacked."""
    if isinstance(params, dict):
        return {name: one_of(tree, index) for name, tree in params.items()}
    return params[index]
