"""UAAFusion's networks and its joint step in plain PyTorch, to compare with.

One derivative for each class, point and source, as the formula stands. NCHW; parameters
are in a dictionary by their path in our trees, those of the stages stacked.
"""

from collections.abc import Mapping

import numpy as np
import torch
from peers import files
from peers.torch_networks import sobel_gradient
from peers.torch_steps import DEVICE, tensor, wait
from torch.nn import functional

Leaves = Mapping[str, torch.Tensor]
STAGES, POINTS = 5, 5
SEGMENTATION_WEIGHT = 0.1
# expansion, repeats, stride, dilation of MobileNetV2's groups of blocks
GROUPS = (
    *((1, 1, 1, 1), (6, 2, 2, 1), (6, 3, 2, 1), (6, 4, 2, 1)),
    *((6, 3, 1, 1), (6, 1, 1, 1), (6, 2, 1, 2), (6, 1, 1, 2)),
)
LOW_BLOCKS = 3


def to_torch(path: str, array: np.ndarray) -> torch.Tensor:
    """Converts a leaf of ours to PyTorch's layout.

    Args:
      path: of the leaf; kernels change their axes.
      array: HWIO, a window per channel, or a matrix for 1x1; stages first.
    """
    if path.endswith("kernel"):
        if path.startswith("stages"):
            array = array.transpose(0, 4, 3, 1, 2)
        elif array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 3:
            array = array.transpose(2, 0, 1)[:, None]
        else:
            array = array.T[..., None, None]
    return torch.from_numpy(array.copy()).to(DEVICE)


def to_ours(path: str, value: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Inverts `to_torch`.

    Args:
      path: of the leaf.
      value: in PyTorch's layout.
      shape: of ours.
    """
    array = value.detach().cpu().numpy()
    if path.endswith("kernel"):
        if path.startswith("stages"):
            return array.transpose(0, 3, 4, 2, 1)
        if len(shape) == 4:
            return array.transpose(2, 3, 1, 0)
        if len(shape) == 3:
            return array[:, 0].transpose(1, 2, 0)
        return array[..., 0, 0].T
    return array


def of(leaves: Leaves, name: str, stage: int | None = None) -> Leaves:
    """Returns the leaves below a name, of one stage where they are stacked."""
    prefix = f"{name}/"
    return {
        path.removeprefix(prefix): leaf if stage is None else leaf[stage]
        for path, leaf in leaves.items()
        if path.startswith(prefix)
    }


def conv(p: Leaves, x: torch.Tensor, mode: str) -> torch.Tensor:
    """Convolves with a window of 3, keeping the size."""
    padded = functional.pad(x, (1, 1, 1, 1), mode)
    return functional.conv2d(padded, p["kernel"], p["bias"])


def unit(p: Leaves, x: torch.Tensor) -> torch.Tensor:
    """Two convolutions with a PReLU between."""
    x = conv(of(p, "first"), x, "reflect")
    x = functional.prelu(x, p["slope"].reshape(1))
    return conv(of(p, "second"), x, "reflect")


def segment(params: Leaves, statistics: Leaves, image: torch.Tensor) -> torch.Tensor:
    """Runs S with its running statistics."""

    def norm(name: str, p: Leaves, x: torch.Tensor) -> torch.Tensor:
        mean, variance = statistics[f"{name}/mean"], statistics[f"{name}/variance"]
        return functional.batch_norm(x, mean, variance, p["scale"], p["bias"])

    p = of(params, "stem")
    x = functional.conv2d(image, p["kernel"], stride=2, padding=1)
    x = functional.relu6(norm("stem/norm", of(p, "norm"), x))
    number, low = 0, x
    for expansion, repeats, stride, dilation in GROUPS:
        for repeat in range(repeats):
            number += 1
            name = f"block_{number:02d}"
            p, y = of(params, name), x
            if expansion > 1:
                y = functional.conv2d(y, p["expand/kernel"])
                y = norm(f"{name}/expand", of(p, "expand/norm"), y)
                y = functional.relu6(y)
            y = functional.conv2d(
                y,
                p["depthwise/kernel"],
                stride=stride if repeat == 0 else 1,
                padding=dilation,
                dilation=dilation,
                groups=y.shape[1],
            )
            y = norm(f"{name}/depthwise", of(p, "depthwise/norm"), y)
            y = functional.conv2d(functional.relu6(y), p["project/kernel"])
            y = norm(f"{name}/project", of(p, "project/norm"), y)
            x = x + y if x.shape == y.shape else y
            if number == LOW_BLOCKS:
                low = x
    p = of(params, "decoder")
    low = functional.conv2d(low, p["low/kernel"], p["low/bias"])
    low = functional.relu(norm("decoder/low", of(p, "low/norm"), low))
    x = torch.cat([resize(x, low), low], dim=1)
    for name in ("first", "second"):
        x = conv(of(p, name), x, "constant")
        x = functional.relu(norm(f"decoder/{name}", of(p, f"{name}/norm"), x))
    x = functional.conv2d(x, p["classes/kernel"], p["classes/bias"])
    return resize(x, image)


def resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Interpolates to the size of another picture."""
    size = like.shape[2:]
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


class JointStep:
    """Attribution, five guided stages, L, one backward pass, Adam for F and S."""

    def __init__(self, folder: str) -> None:
        """Loads networks and a batch.

        Args:
          folder: as `files` describes it.
        """
        self._leaves = files.read_leaves(folder)
        self._trees = {
            tree: {path: to_torch(path, leaf) for path, leaf in leaves.items()}
            for tree, leaves in self._leaves.items()
        }
        inputs = files.read_inputs(folder)
        self._a, self._b = (tensor(inputs[x]) for x in ("source_a", "source_b"))
        self._labels = torch.from_numpy(inputs["labels"]).long().to(DEVICE)
        rate = float(inputs["learning_rate"])
        self._optimizers = []
        for name in ("fusion", "segmentation"):
            some = [leaf.requires_grad_() for leaf in self._trees[name].values()]
            self._optimizers.append(torch.optim.Adam(some, lr=rate))

    def first(self) -> dict[str, np.ndarray]:
        """Returns the loss and both gradients of the first step."""
        values = {"total_loss": self._step().detach().cpu().numpy()}
        for name in ("fusion", "segmentation"):
            grads = {
                path: np.zeros_like(self._leaves[name][path])
                if leaf.grad is None
                else to_ours(path, leaf.grad, self._leaves[name][path].shape)
                for path, leaf in self._trees[name].items()
            }
            values[f"{name}_grads"] = files.flat(grads)
        return values

    def run(self) -> None:
        """Makes one step."""
        self._step()
        wait()

    def _segment(self, image: torch.Tensor) -> torch.Tensor:
        return segment(self._trees["segmentation"], self._trees["statistics"], image)

    def _step(self) -> torch.Tensor:
        a, b, labels = self._a, self._b, self._labels
        classes = len(self._leaves["segmentation"]["decoder/classes/bias"])
        mask = functional.one_hot(labels, classes).movedim(-1, 1).float()
        mask[:, 0] = 0
        w_a, w_b = self._weights(mask)
        fused = self._unfold(w_a * a + w_b * b, mask)
        edges = torch.maximum(sobel_gradient(a), sobel_gradient(b))
        entropies = [
            functional.cross_entropy(self._segment(x), labels, ignore_index=0)
            for x in (fused, a, b)
        ]
        loss = (
            (w_a * (a - fused)).square().mean()
            + (w_b * (b - fused)).square().mean()
            + (sobel_gradient(fused) - edges).abs().mean()
            + SEGMENTATION_WEIGHT * torch.stack(entropies).mean()
        )
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        return loss

    def _weights(self, mask: torch.Tensor) -> list[torch.Tensor]:
        sizes = mask.sum((2, 3)).clamp(min=1)
        maps = []
        for source in (self._a, self._b):
            total = torch.zeros_like(sizes)
            for c in range(1, mask.shape[1]):
                region = mask[:, c : c + 1]
                for k in range(1, POINTS + 1):
                    x = (k / POINTS * source).requires_grad_()
                    chosen = self._segment(x)[:, c : c + 1].sigmoid()
                    score = ((chosen * region).sum((1, 2, 3)) / sizes[:, c]).sum()
                    (slope,) = torch.autograd.grad(score, x)
                    gain = (slope * source * region).sum((1, 2, 3)) / sizes[:, c]
                    total[:, c] += gain / POINTS
            positive = total.relu()[:, :, None, None]
            maps.append((positive * mask).sum(1, keepdim=True))
        both = maps[0] + maps[1] + 2e-8
        return [(x + 1e-8) / both for x in maps]

    def _unfold(self, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        params = self._trees["fusion"]
        start = of(params, "start")
        memory = torch.cat(
            [
                unit(of(start, "source_a"), self._a),
                unit(of(start, "source_b"), self._b),
            ],
            dim=1,
        )
        long_term = short_term = memory
        cell = torch.zeros_like(memory)
        hidden = cell
        f = 0.5 * (self._a + self._b)
        path = attention = torch.zeros_like(f)
        for k in range(STAGES):
            p = of(params, "stages", k)
            before = f
            step = f - params["step_sizes"][k] * (f - target)
            first = unit(of(p, "features"), step)
            recalled = torch.cat([first, long_term, short_term], dim=1)
            second = unit(of(p, "recall"), recalled)
            third = second + unit(of(p, "attention"), second) * attention.sigmoid()
            f = unit(of(p, "output"), third).sigmoid()
            if k == STAGES - 1:
                break
            combined = unit(of(p, "combine"), torch.cat([first, second, third], dim=1))
            gates = conv(of(p, "lstm/input"), combined, "reflect")
            if k > 0:
                gates = gates + conv(of(p, "lstm/hidden"), hidden, "reflect")
            forget, put, show, new = gates.chunk(4, dim=1)
            cell = forget.sigmoid() * cell + put.sigmoid() * new.tanh()
            hidden = show.sigmoid() * (cell.tanh() if k > 0 else cell)
            long_term, short_term = unit(of(p, "long_term"), hidden), third
            x = f.detach().requires_grad_()
            score = (mask * self._segment(x).sigmoid()).sum()
            (slope,) = torch.autograd.grad(score, x)
            path = path + slope * (f - before).detach()
            mean = path / (k + 1)
            deviation = mean.std((1, 2, 3), unbiased=False, keepdim=True)
            attention = mean / (deviation + 1e-12)
        return f
