"""Stochastic normalisation: channels drawn to be normalised by the batch, or by moving averages."""

from __future__ import annotations

from typing import cast

import torch
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch
from bench.parts.kinds import Array


class Stochastic(_BatchNorm):
    """Mixed into the class of a batch normalisation, whose parameters and buffers stay its own.

    What stands behind the normalisation within the module, such as an activation, acts on each
    number alone, so that it does not matter whether channels are chosen before it or after it.
    """

    share: float
    key: int
    # How many batches were drawn for.
    drawn: int

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs ``(b, c, …)`` normalised; in evaluation mode as without the patch."""
        if not self.training:
            return self._normalised(inputs)
        by_batch = torch.from_numpy(self._draw(inputs.shape[1])).to(inputs.device)
        self.training = False
        try:
            moving = self._normalised(inputs)
        finally:
            self.training = True
        # The moving averages of before this batch: they are updated in place, and the gradient
        # of the branch above asks for them as they were.
        self.running_mean = _copied(self.running_mean)
        self.running_var = _copied(self.running_var)
        batch = self._normalised(inputs)
        return torch.where(by_batch.reshape(-1, *[1] * (inputs.ndim - 2)), batch, moving)

    def _normalised(self, inputs: Tensor) -> Tensor:
        found: Tensor = super().forward(inputs)
        return found

    def _draw(self, channels: int) -> Array:
        numbers = Stream(self.key, jump=self.drawn).uniform(channels)
        self.drawn += 1
        return numbers < self.share


@patch("stochastic-normalisation")
class StochasticNormalisation(Patch):
    """y = γ (s x̂₁ + (1 − s) x̂₀) + β, s ~ Bernoulli(p) a channel (Kou et al. 2020).

    In place of each batch normalisation while it trains: x̂₁ is normalised by the batch, x̂₀ by the
    moving averages as they were before it; then these are updated. s is drawn anew for each layer
    and batch. ``batch`` is p, 0.5 as in the paper's code: 1 is batch normalisation. Names in
    checkpoints stay, so that networks with the patch and without start from each other's.

    The Transfer-Learning-Library's option of this name does not reach its layers: they have 0.5.
    """

    batch: NonNegativeFloat = 0.5

    def __call__(self, network: Network) -> None:
        """Change every batch normalisation; UserError where there is none, or p is above one."""
        if self.batch > 1:
            raise UserError(
                f"a probability is at most one, and batch is {self.batch:g}",
                field="patches.stochastic-normalisation.batch",
            )
        found = _normalisations(network)
        if not found:
            raise UserError(
                f"{network.name} has no batch normalisation with moving averages",
                field="patches.stochastic-normalisation",
                remedy="use a backbone that has, such as a ResNet",
            )
        mixed = {cls: _stochastic(cls) for cls in map(type, found)}
        for module in found:
            module.__class__ = mixed[type(module)]
            assert isinstance(module, Stochastic)
            module.share, module.key, module.drawn = self.batch, 0, 0

    def draw(self, network: Network, stream: Stream) -> None:
        """Give each layer the key of its own numbers."""
        for module in _normalisations(network):
            assert isinstance(module, Stochastic)
            module.key = int(stream.raw(1)[0])


def _normalisations(network: Network) -> list[_BatchNorm]:
    return [
        module
        for module in network.body().modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


def _stochastic(cls: type[_BatchNorm]) -> type[_BatchNorm]:
    """Return the class whose modules are those of ``cls``, but for their pass while training."""
    return cast(type[_BatchNorm], type(f"Stochastic{cls.__name__}", (Stochastic, cls), {}))


def _copied(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()
