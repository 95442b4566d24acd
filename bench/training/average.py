"""A network that follows the one that trains: a momentum encoder, a mean teacher."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench.models.network import Network, NetworkOutput
from bench.training.module_state import State, module_state, restore_module
from bench.training.numerics import autocast, wide


class AveragedNetwork:
    """A copy whose parameters are an exponential average of a network's (He et al. 2020, eq. 2).

    It begins as the network is now. Its buffers are its own: where batch normalisation is in
    training mode, it normalises by the copy's batches, and its moving statistics are theirs. It
    runs in the recipe's precision, without a gradient, and gives float32.

    Attributes
    ----------
    modules
        The copy's own of what the task's objective trains beside the head.
    """

    def __init__(self, network: Network, task: str = "", precision: str = "float32") -> None:
        self._network = network
        self._copy = copy.deepcopy(network).requires_grad_(False)
        self._task = task
        self._precision = precision
        self._device = next(network.parameters()).device
        self.modules: nn.Module | None = self._copy.beside.get(task)

    def follow(self, momentum: float) -> None:
        """Let θ̄ ← mθ̄ + (1 − m)θ for every parameter."""
        with torch.no_grad():
            pairs = zip(self._copy.parameters(), self._network.parameters(), strict=True)
            for average, parameter in pairs:
                average.mul_(momentum).add_(parameter, alpha=1 - momentum)

    def state(self) -> State:
        """Return the copy's whole state."""
        return module_state(self._copy)

    def restore(self, state: State) -> None:
        """Go on from a copy's state."""
        restore_module(self._copy, state)

    def __call__(self, inputs: Tensor) -> NetworkOutput:
        """Return features and outputs of inputs ``(b, …)``, by modules in the network's modes."""
        modules = zip(self._copy.modules(), self._network.modules(), strict=True)
        for module, followed in modules:
            module.training = followed.training
        with torch.no_grad(), autocast(self._precision, self._device):
            output = self._copy(inputs, task=self._task)
        return NetworkOutput(wide(output.features), wide(output.logits))
