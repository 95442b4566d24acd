"""How far the backbone has moved, and how large the head has grown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.models.network import Network
from bench.training.loss import feature_parameters


def parameters_of(network: Network) -> dict[str, Tensor]:
    """Return a detached copy of `feature_parameters` (no running statistics), by name."""
    return {name: value.detach().clone() for name, value in feature_parameters(network).items()}


def counts(network: Network) -> dict[str, float]:
    """Return how many numbers train, belong to one task alone (heads included), and there are.

    What several tasks share, such as a head, is counted once, and is private to none.
    """
    every = [*network.parameters()]
    users = Counter(p for task in network.tasks for p in network.own_parameters(task).values())
    return {
        "parameters/trained": float(sum(p.numel() for p in every if p.requires_grad)),
        "parameters/private": float(sum(p.numel() for p, tasks in users.items() if tasks == 1)),
        "parameters/total": float(sum(p.numel() for p in every)),
    }


def feature_distance(network: Network, start: Mapping[str, Tensor]) -> float:
    """Return ‖θ − θ_start‖₂ over all but the heads' parameters, summed in float64.

    Nor does the start's own head count, so that methods with it are beside those without.

    Parameters
    ----------
    start
        The same parameters before the first step, by name.
    """
    squares = [
        (value.detach() - start[name]).double().square().sum()
        for name, value in feature_parameters(network).items()
    ]
    return math.sqrt(float(torch.stack(squares).sum()))


def head_norm(head: nn.Linear) -> float:
    """Return ‖W‖_F of a head's weights, without its bias."""
    return float(head.weight.detach().double().norm())
