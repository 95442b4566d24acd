"""Random data, and the small networks that take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.trajectories import FUTURE, VALID
from bench.models.weights import NetworkBuilder
from bench.parts.kinds import Objective
from bench.parts.networks.bert import Bert
from bench.parts.networks.mlp import MultilayerPerceptron
from bench.parts.networks.scaled_mlp import ScaledPerceptron

_TRACK = (FUTURE + 1, VALID + 1)
_LABELS = (3,)
CLASSES = 3
ROWS = 4
_SCALED = NetworkBuilder("scaled-mlp", ScaledPerceptron().build)
_MLP = NetworkBuilder("mlp", MultilayerPerceptron(widths=(12, 9)).build)


@dataclass(frozen=True)
class Inputs:
    """A network and what goes into it."""

    network: str | NetworkBuilder
    shape: tuple[int, ...]
    tokens: bool = False

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network if isinstance(self.network, str) else self.network.name

    def draw(self, seed: int, rows: int = ROWS) -> Tensor:
        """Return random inputs ``(rows, …)``; whole numbers below 10 are tokens."""
        generator = torch.Generator().manual_seed(seed)
        if self.tokens:
            return torch.randint(10, (rows, *self.shape), generator=generator)
        return torch.randn(rows, *self.shape, generator=generator)


# Batch normalisation, layer normalisation, depthwise filters, units with scales in the plane, none
# of these: not every part can be used on each.
RESNET = Inputs("test_resnet", (3, 64, 64))
NETWORKS = (
    RESNET,
    Inputs("test_vit", (3, 160, 160)),
    Inputs("test_efficientnet", (3, 64, 64)),
    Inputs(_SCALED, (2,)),
    Inputs(_MLP, (8,)),
)
SMALL = NETWORKS[-1]
SENTENCES = Inputs(NetworkBuilder("bert", Bert().build), (12,), tokens=True)


@dataclass(frozen=True)
class Facts:
    """What an objective may know of random data of its kind."""

    classes: int | None
    target_shape: tuple[int, ...]


def facts_of(objective: type[Objective] | Objective, classes: int = CLASSES) -> Facts:
    """Return what an objective's data look like.

    Classes, a box, a track, three labels, or two numbers a row.
    """
    if objective.targets == "classes":
        return Facts(classes, ())
    shapes = {"boxes": (4,), "trajectories": _TRACK, "labels": _LABELS}
    return Facts(None, shapes.get(objective.targets, (2,)))


def random_targets(facts: Facts, rows: int, seed: int) -> Tensor:
    """Return targets of ``rows`` rows: labels, each class in turn, or numbers in float32.

    Four numbers are boxes within the unit square; tracks have states that are not valid; three are
    labels, each in both of its values from four rows on.
    """
    if facts.classes is not None:
        return (torch.arange(rows) + seed) % facts.classes
    generator = torch.Generator().manual_seed(1000 + seed)
    if facts.target_shape == (4,):
        corners = torch.rand(rows, 2, 2, generator=generator).sort(dim=1).values
        low, high = corners.unbind(dim=1)
        return torch.cat([(low + high) / 2, high - low], dim=1)
    if facts.target_shape == _LABELS:
        periods = torch.arange(rows)[:, None] // torch.tensor([1, 2, 3])
        return ((periods + seed) % 2).float()
    drawn = torch.randn(rows, *facts.target_shape, generator=generator)
    if facts.target_shape == _TRACK:
        valid = drawn[:, :, VALID] > -1
        valid[:, 0] = True
        drawn[:, :, VALID] = 1.0
        drawn = drawn * valid[:, :, None]
    return drawn
