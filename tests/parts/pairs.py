"""Two small networks and their inputs, as a measurement is given them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network


class Backbone(nn.Module):
    """Two linear maps, with an activation in place after each, which runs twice in a pass."""

    def __init__(self, seed: int, width: int = 6) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.num_features = 3
        self.first = nn.Linear(5, width)
        self.act = nn.ReLU(inplace=True)
        self.last = nn.Sequential(nn.Linear(width, 3), nn.Tanh())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.act(self.last(self.act(self.first(inputs))))  # type: ignore[no-any-return]


def network(backbone: nn.Module, classes: int = 4, seed: int = 0) -> Network:
    """Return a network in evaluation mode, in float64, with a head drawn at random."""
    found = Network(backbone, {"": classes}, name="small")
    torch.manual_seed(seed)
    nn.init.normal_(found.heads[""].weight)
    return found.double().eval()


class Pair:
    """A measuring of two networks on rows of normal numbers; what networks saw is kept."""

    seed = 0
    device = torch.device("cpu")
    roles = ("first", "second")

    def __init__(self, first: Network, second: Network, inputs: Tensor | int = 60) -> None:
        self.networks = {"first": first, "second": second}
        if isinstance(inputs, int):
            inputs = torch.randn(inputs, 5, generator=torch.Generator().manual_seed(1)).double()
        self.inputs = inputs

    def network(self, role: str) -> Network:
        return copy.deepcopy(self.networks[role])

    def stream(self, *name: object) -> Stream:
        return Stream(len(name))

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        assert split == "test"
        order = torch.arange(len(self.inputs))
        if shuffle is not None:
            order = torch.from_numpy(shuffle.permutation(len(order)))
        for rows in order[:limit].split(batch_size):
            yield self.inputs[rows], torch.zeros(len(rows))
