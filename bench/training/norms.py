"""How far the backbone has moved, and how large the head has grown."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.models.network import Network


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    """Return a detached copy of a module's parameters (not its running statistics), by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def feature_distance(network: Network, start: Mapping[str, Tensor]) -> float:
    """Return ‖θ − θ_start‖₂ over the backbone's parameters, summed in float64.

    Parameters
    ----------
    start
        The backbone's parameters before the first step, by name.
    """
    squares = [
        (value.detach() - start[name]).double().square().sum()
        for name, value in network.backbone.named_parameters()
    ]
    return math.sqrt(float(torch.stack(squares).sum()))


def head_norm(network: Network) -> float:
    """Return ‖W‖_F of the head's weights, without its bias."""
    return float(network.head.weight.detach().double().norm())
