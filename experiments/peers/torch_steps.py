"""PyTorch contenders: F on a pair, the fusion step, the authors' meta-step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from peers import files
from peers.torch_networks import (
    Fusion,
    Proposal,
    Reconstruction,
    gather,
    load,
    sobel_gradient,
)
from torch import nn
from torch.func import functional_call

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Products of float32 numbers stay float32, as in our networks.
torch.backends.cudnn.allow_tf32 = False


def wait() -> None:
    """Waits until the device has finished its work."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def tensor(array: np.ndarray) -> torch.Tensor:
    """Converts an NHWC array to an NCHW tensor on the device."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy()).to(DEVICE)


class Inference:
    """F on one batch of pairs."""

    def __init__(self, folder: str, compiled: bool = False) -> None:
        """Loads F and the pictures.

        Args:
          folder: as `files` describes it.
          compiled: through torch.compile.
        """
        self._network = load(Fusion(), files.read_leaves(folder)["fusion"])
        self._network.to(DEVICE).eval()
        if compiled:
            self._network = torch.compile(self._network)
        inputs = files.read_inputs(folder)
        self._sources = [tensor(inputs[x]) for x in ("source_a", "source_b")]

    @torch.inference_mode()
    def first(self) -> dict[str, np.ndarray]:
        """Returns the fused pictures."""
        fused = self._network(*self._sources).cpu().numpy()
        return {"fused": np.moveaxis(fused, 1, -1)}

    @torch.inference_mode()
    def run(self) -> None:
        """Fuses once."""
        self._network(*self._sources)
        wait()


def fusion_loss(
    fused: torch.Tensor, pair: torch.Tensor, weights: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Computes L_f, Eqs. 1 to 3."""
    w, v = weights
    intensity = (w * (pair - fused).square()).sum(1).mean()
    distance = (sobel_gradient(pair) - sobel_gradient(fused)).square()
    return intensity + (v * distance).sum(1).mean()


def reconstruction_loss(rebuilt: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Computes L_r, Eqs. 4 to 6."""
    distance = (sobel_gradient(pair) - sobel_gradient(rebuilt)).square()
    intensity = (pair - rebuilt).square().amax(1).mean()
    return intensity + distance.amax(1).mean()


class Training(ABC):
    """Holds what both kinds of step share: three networks, two batches, Adam."""

    NETWORKS = ("fusion", "reconstruction", "proposal")

    def __init__(self, folder: str, compiled: bool = False) -> None:
        """Loads networks and batches.

        Args:
          folder: as `files` describes it.
          compiled: through torch.compile, which has no second derivative.
        """
        self._leaves = files.read_leaves(folder)
        inputs = files.read_inputs(folder)
        self._rate = float(inputs["learning_rate"])
        self._inner, self._outer = (
            torch.cat([tensor(inputs[f"{x}_{source}"]) for source in "ab"], dim=1)
            for x in ("inner", "outer")
        )
        self._modules = {
            name: load(network(), self._leaves[name]).to(DEVICE)
            for name, network in zip(
                self.NETWORKS, (Fusion, Reconstruction, Proposal), strict=True
            )
        }
        self._optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=self._rate)
            for name, module in self._modules.items()
        }
        self._run = {
            name: torch.compile(module) if compiled else module
            for name, module in self._modules.items()
        }

    @abstractmethod
    def _step(self) -> dict[str, torch.Tensor]:
        """Makes one update and returns the losses by name."""

    def first(self) -> dict[str, np.ndarray]:
        """Returns the losses of the first step; subclasses add their gradients."""
        losses = self._step()
        return {name: loss.detach().cpu().numpy() for name, loss in losses.items()}

    def run(self) -> None:
        """Makes one step."""
        self._step()
        wait()

    def _flat(self, name: str) -> np.ndarray:
        module = self._modules[name]
        grads = [parameter.grad for parameter in module.parameters()]
        return files.flat(gather(module, grads, self._leaves[name]))


class FusionStep(Training):
    """Eqs. 11 and 12: F under the proposed loss, R from F."""

    def _step(self) -> dict[str, torch.Tensor]:
        pair = self._inner
        with torch.no_grad():
            weights = self._run["proposal"](pair)
        fused = self._run["fusion"](pair[:, :1], pair[:, 1:])
        loss = fusion_loss(fused, pair, weights)
        rebuilt = self._run["reconstruction"](fused.detach())
        rebuilding_loss = reconstruction_loss(rebuilt, pair)
        for name in ("fusion", "reconstruction"):
            self._optimizers[name].zero_grad()
        loss.backward()
        rebuilding_loss.backward()
        for name in ("fusion", "reconstruction"):
            self._optimizers[name].step()
        return {"fusion_loss": loss, "reconstruction_loss": rebuilding_loss}

    def first(self) -> dict[str, np.ndarray]:
        """Returns the losses and both gradients."""
        values = super().first()
        values["fusion_grads"] = self._flat("fusion")
        values["reconstruction_grads"] = self._flat("reconstruction")
        return values


class MetaStep(Training):
    """Eqs. 7 to 10, the inner step kept as a graph and differentiated through."""

    def _step(self) -> dict[str, torch.Tensor]:
        fusion, reconstruction, proposal = (self._modules[x] for x in self.NETWORKS)
        pair = self._inner
        weights = proposal(pair)
        fused = fusion(pair[:, :1], pair[:, 1:])
        loss = fusion_loss(fused, pair, weights)
        adapted_fusion = self._descend(fusion, loss, create_graph=True)
        rebuilding_loss = reconstruction_loss(reconstruction(fused.detach()), pair)
        adapted_reconstruction = self._descend(reconstruction, rebuilding_loss)

        pair = self._outer
        sources = (pair[:, :1], pair[:, 1:])
        fused = functional_call(fusion, adapted_fusion, sources)
        rebuilt = functional_call(reconstruction, adapted_reconstruction, (fused,))
        outer_loss = reconstruction_loss(rebuilt, pair)
        parameters = list(proposal.parameters())
        grads = torch.autograd.grad(outer_loss, parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            # Divided by eta, as our meta-gradient is, or Adam's epsilon would swamp it.
            parameter.grad = grad / self._rate
        self._optimizers["proposal"].step()
        return {"fusion_loss": loss, "reconstruction_loss": outer_loss}

    def _descend(
        self, module: nn.Module, loss: torch.Tensor, create_graph: bool = False
    ) -> dict[str, torch.Tensor]:
        """Makes one SGD step and returns the new parameters by name."""
        names, parameters = zip(*module.named_parameters(), strict=True)
        grads = torch.autograd.grad(loss, parameters, create_graph=create_graph)
        return {
            name: parameter - self._rate * grad
            if create_graph
            else (parameter - self._rate * grad).detach()
            for name, parameter, grad in zip(names, parameters, grads, strict=True)
        }

    def first(self) -> dict[str, np.ndarray]:
        """Returns the losses and the meta-gradient."""
        values = super().first()
        values["meta_grads"] = self._flat("proposal")
        return values
