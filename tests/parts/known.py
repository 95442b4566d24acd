"""Measuring on rows and labels that a test gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS


class Known(RandomMeasuring):
    """Networks by role, and the same rows in both splits."""

    def __init__(self, networks: Mapping[str, Network], inputs: Tensor, targets: Tensor) -> None:
        super().__init__(networks, NETWORKS[-1], data=True)
        self._rows = inputs, targets

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = self._rows
        count = len(targets)
        order = torch.arange(count)
        if shuffle is not None:
            order = torch.from_numpy(shuffle.permutation(count))
        for rows in torch.split(order[:limit], batch_size):
            yield inputs[rows], targets[rows]


class _Body(nn.Sequential):
    def __init__(self, features: int, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.num_features = features


def network_of(modules: Mapping[str, nn.Module], head: Tensor) -> Network:
    """Return modules in a row behind which is a head without bias, ``(outputs, features)``."""
    outputs, features = head.shape
    network = Network(_Body(features, modules), {"": outputs}, name="known", bias=False)
    with torch.no_grad():
        network.to(head.dtype).heads[""].weight.copy_(head)
    return network.eval()


def linear(weight: Tensor) -> nn.Linear:
    """Return a linear map without bias."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False).to(weight.dtype)
    with torch.no_grad():
        made.weight.copy_(weight)
    return made
