"""A new head from the cell's own stream."""

from __future__ import annotations

import torch
from torch import nn

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts.kinds import Head, Objective
from bench.spec.seeds import origin, stream_seed


def initialise_head(
    head: nn.Linear, init: Head, seed: int, task: str = "", dataset: str = "", trainings: int = 0
) -> None:
    """Fill a head's weights, and set its bias to zero, in place.

    Drawn from the stream ``head``, so that every method, device and machine starts from the same
    head; with several tasks each has a stream of its own, and so has each dataset.

    Parameters
    ----------
    trainings
        How many are behind the network: a new head is not the one that its source began with.
    """
    outputs, features = head.weight.shape
    key = stream_seed(seed, "head", task, dataset, *origin(trainings))
    weight = init.weights(outputs, features, Stream(key))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        if head.bias is not None:
            head.bias.zero_()


def modules_beside(
    network: Network,
    objective: Objective,
    seed: int,
    task: str = "",
    dataset: str = "",
    trainings: int = 0,
) -> nn.Module | None:
    """Return what an objective trains beside a task's head, drawn from a stream of its own.

    Other parameters are as above.
    """
    head = network.heads[task]
    key = stream_seed(seed, "head", "beside", task, dataset, *origin(trainings))
    return objective.modules(head.in_features, head.out_features, Stream(key))
