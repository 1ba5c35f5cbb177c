"""F, R and P in plain PyTorch, as a user of PyTorch would write them, to compare with.

NCHW, nn.Conv2d throughout, depthwise as groups. Parameters are named so that a name
without its numbers is the path in our trees and the numbers are the place in the stack:
`encoders.1.body.0.attention.qkv.weight` is [1, 0] of `encoders/body/attention/qkv`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HEADS = 8
WIDTH = 16
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def conv(channels_in: int, channels_out: int, size: int, groups: int = 1) -> nn.Conv2d:
    """Makes a convolution that keeps the size, without bias."""
    return nn.Conv2d(
        channels_in,
        channels_out,
        size,
        padding=size // 2,
        groups=groups,
        bias=False,
    )


def depthwise(channels: int) -> nn.Conv2d:
    """Makes a 3x3 convolution of each channel by itself."""
    return conv(channels, channels, 3, groups=channels)


def sobel_gradient(image: torch.Tensor) -> torch.Tensor:
    """Returns |G_x| + |G_y| of each channel, with zero padding."""
    across = torch.tensor(SOBEL, dtype=image.dtype, device=image.device)
    kernels = torch.stack([across, across.T])[:, None]
    batch, channels, height, width = image.shape
    flat = image.reshape(batch * channels, 1, height, width)
    responses = functional.conv2d(flat, kernels, padding=1)
    return responses.abs().sum(1).reshape(image.shape)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    temperature: torch.Tensor,
) -> torch.Tensor:
    """Applies multi-head attention between channels."""
    shape, heads = value.shape, temperature.numel()
    query, key, value = (
        x.reshape(shape[0], heads, shape[1] // heads, -1) for x in (query, key, value)
    )
    query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
    scores = query @ key.transpose(-2, -1) * temperature.view(heads, 1, 1)
    return (scores.softmax(-1) @ value).reshape(shape)


class LayerNorm(nn.Module):
    """Normalises each pixel over its channels."""

    def __init__(self, channels: int) -> None:
        """Gain and bias."""
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """NCHW to NCHW."""
        last = x.permute(0, 2, 3, 1)
        last = functional.layer_norm(last, last.shape[-1:], self.scale, self.bias)
        return last.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """MDTA."""

    def __init__(self, channels: int) -> None:
        """Projections and temperatures."""
        super().__init__()
        self.qkv = conv(channels, 3 * channels, 1)
        self.qkv_depthwise = depthwise(3 * channels)
        self.project_out = conv(channels, channels, 1)
        self.temperature = nn.Parameter(torch.ones(HEADS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without the residual."""
        query, key, value = self.qkv_depthwise(self.qkv(x)).chunk(3, dim=1)
        return self.project_out(attend(query, key, value, self.temperature))


class FeedForward(nn.Module):
    """GDFN."""

    def __init__(self, channels: int) -> None:
        """Projections and depthwise kernels."""
        super().__init__()
        self.project_in = conv(channels, 4 * channels, 1)
        self.depthwise = depthwise(4 * channels)
        self.project_out = conv(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without the residual."""
        gate, content = self.depthwise(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(functional.gelu(gate) * content)


class Block(nn.Module):
    """RTB."""

    def __init__(self, channels: int) -> None:
        """Both halves with their norms."""
        super().__init__()
        self.norm1, self.attention = LayerNorm(channels), Attention(channels)
        self.norm2, self.feed_forward = LayerNorm(channels), FeedForward(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


def blocks(channels: int) -> nn.Sequential:
    """Makes two blocks, one after the other."""
    return nn.Sequential(Block(channels), Block(channels))


class Encoder(nn.Module):
    """Convolution and two blocks."""

    def __init__(self) -> None:
        """One image to `WIDTH` channels."""
        super().__init__()
        self.project_in = conv(1, WIDTH, 3)
        self.body = blocks(WIDTH)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the features of an image."""
        return self.body(self.project_in(image))


def two(make: Callable[[], nn.Module]) -> nn.ModuleList:
    """Makes one module per source."""
    return nn.ModuleList([make(), make()])


class CrossAttention(nn.Module):
    """Each source is attended by the other's queries."""

    def __init__(self) -> None:
        """Projections of both sources."""
        super().__init__()
        self.qkv = two(lambda: conv(WIDTH, 3 * WIDTH, 1))
        self.qkv_depthwise = two(lambda: depthwise(3 * WIDTH))
        self.project_out = two(lambda: conv(WIDTH, WIDTH, 1))
        self.temperature = nn.ParameterList([torch.ones(HEADS) for _ in "ab"])

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Both sources' features to new features of each."""
        (query_a, key_a, value_a), (query_b, key_b, value_b) = (
            self.qkv_depthwise[i](self.qkv[i](features[i])).chunk(3, dim=1)
            for i in range(2)
        )
        attended = (
            attend(query_b, key_a, value_a, self.temperature[0]),
            attend(query_a, key_b, value_b, self.temperature[1]),
        )
        return [features[i] + self.project_out[i](attended[i]) for i in range(2)]


class Refinement(nn.Module):
    """Gates from both sources weigh each source's features."""

    def __init__(self) -> None:
        """The joint gate, each source's expansion and projection."""
        super().__init__()
        self.gate = conv(2 * WIDTH, 8 * WIDTH, 1)
        self.gate_depthwise = depthwise(8 * WIDTH)
        self.expand = two(lambda: conv(WIDTH, 4 * WIDTH, 1))
        self.expand_depthwise = two(lambda: depthwise(4 * WIDTH))
        self.project_out = two(lambda: conv(4 * WIDTH, 2 * WIDTH, 1))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Both sources' features to fused ones."""
        joint = torch.cat(features, dim=1)
        gates = self.gate_depthwise(self.gate(joint)).chunk(2, dim=1)
        for i in range(2):
            content = self.expand_depthwise[i](self.expand[i](features[i]))
            product = functional.gelu(gates[i]) * content
            joint = joint + self.project_out[i](product)
        return joint


class Fusion(nn.Module):
    """F."""

    def __init__(self) -> None:
        """Encoders, AFM, decoder, tail."""
        super().__init__()
        self.encoders = two(Encoder)
        self.cross_attention, self.refinement = CrossAttention(), Refinement()
        self.decoder = blocks(2 * WIDTH)
        self.tail1, self.tail2 = conv(2 * WIDTH, WIDTH, 3), conv(WIDTH, 1, 3)

    def forward(self, source_a: torch.Tensor, source_b: torch.Tensor) -> torch.Tensor:
        """Two N1HW images to one."""
        features = [self.encoders[0](source_a), self.encoders[1](source_b)]
        x = self.decoder(self.refinement(self.cross_attention(features)))
        return torch.sigmoid(self.tail2(functional.leaky_relu(self.tail1(x))))


class Branch(nn.Module):
    """One of R's branches."""

    def __init__(self) -> None:
        """Encoder and last convolution."""
        super().__init__()
        self.encoder, self.project_out = Encoder(), conv(WIDTH, 1, 3)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """Logits of one source."""
        return self.project_out(self.encoder(fused))


class Reconstruction(nn.Module):
    """R."""

    def __init__(self) -> None:
        """Two branches."""
        super().__init__()
        self.branches = two(Branch)

    def forward(self, fused: torch.Tensor) -> torch.Tensor:
        """N1HW to N2HW, channel 0 for source a."""
        return torch.sigmoid(torch.cat([b(fused) for b in self.branches], dim=1))


class Subnetwork(nn.Module):
    """One half of P."""

    def __init__(self) -> None:
        """Encoders, joint blocks, tail."""
        super().__init__()
        self.encoders, self.joint = two(Encoder), blocks(2 * WIDTH)
        self.tail1, self.tail2 = conv(2 * WIDTH, WIDTH, 3), conv(WIDTH, 2, 3)
        self.slope = nn.PReLU()

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """N2HW images to N2HW weights that sum to one."""
        features = [self.encoders[i](pair[:, i : i + 1]) for i in range(2)]
        x = self.joint(torch.cat(features, dim=1))
        return self.tail2(self.slope(self.tail1(x))).softmax(dim=1)


class Proposal(nn.Module):
    """P."""

    def __init__(self) -> None:
        """Two sub-networks."""
        super().__init__()
        self.subnetworks = two(Subnetwork)

    def forward(self, pair: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """N2HW sources to w and v, N2HW each."""
        edges = sobel_gradient(pair)
        return self.subnetworks[0](pair), self.subnetworks[1](edges)


def place(name: str) -> tuple[str, tuple[int, ...]]:
    """Returns the path of a parameter in our tree, and its index in the stack there."""
    parts = name.removesuffix(".weight").split(".")
    index = tuple(int(part) for part in parts if part.isdigit())
    return "/".join(part for part in parts if not part.isdigit()), index


def load(module: nn.Module, leaves: Mapping[str, np.ndarray]) -> nn.Module:
    """Copies our parameters into a module.

    Args:
      module: one of the three above.
      leaves: arrays by path, exactly those of the network.

    Returns:
      The module.

    Raises:
      ValueError: if the module has no place for one of the leaves.
    """
    read = set()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            leaf, index = place(name)
            values = torch.from_numpy(leaves[leaf][index].reshape(parameter.shape))
            parameter.copy_(values)
            read.add(leaf)
    if read != set(leaves):
        raise ValueError(f"expected leaves {sorted(read)}, got {sorted(leaves)}.")
    return module


def gather(
    module: nn.Module,
    values: Sequence[torch.Tensor],
    leaves: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Converts tensors, one per parameter of the module, to arrays by path.

    Args:
      module: one of the three above.
      values: in the order of its parameters.
      leaves: arrays by path, which give the shapes.

    Returns:
      Arrays by path in our tree.
    """
    arrays = {leaf: array.copy() for leaf, array in leaves.items()}
    for (name, _), value in zip(module.named_parameters(), values, strict=True):
        leaf, index = place(name)
        array = value.detach().cpu().numpy()
        arrays[leaf][index] = array.reshape(arrays[leaf][index].shape)
    return arrays
