"""Adapters: few parameters beside a network's own layers, which stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network


class Adapter(nn.Module):
    """What a patch adds to a network; the trainable set ``adapters`` trains all of them."""

    def draw(self, stream: Stream) -> None:
        """Fill the parameters that begin at random."""
        raise TypeError(f"{type(self).__name__} does not define draw(self, stream)")


class Beside(nn.Module):
    """A layer of the network's own, and an adapter of the same input, added up."""

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum of both outputs."""
        output: Tensor = self.layer(inputs) + self.adapter(inputs)
        return output


def draw_all(network: Network, kind: type[Adapter], stream: Stream) -> None:
    """Draw all adapters of a kind, each task's own included, one after the other."""
    for module in network.body().modules():
        if isinstance(module, kind):
            module.draw(stream)


def fill_uniform(parameter: nn.Parameter, bound: float, stream: Stream) -> None:
    """Fill a parameter with numbers uniform in [-bound, bound)."""
    _fill(parameter, torch.from_numpy(stream.uniform(parameter.numel(), -bound, bound)))


def fill_normal(parameter: nn.Parameter, std: float, stream: Stream) -> None:
    """Fill a parameter with numbers from N(0, std²)."""
    _fill(parameter, torch.from_numpy(std * stream.normal(parameter.numel())))


def _fill(parameter: nn.Parameter, values: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(values.reshape(parameter.shape))
