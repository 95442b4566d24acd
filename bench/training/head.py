"""A new head from the cell's own stream."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from bench.parts.kinds import Head
from bench.spec.seeds import stream_seed


def initialise_head(head: nn.Linear, init: Head, seed: int, task: str = "") -> None:
    """Fill a head's weights, and set its bias to zero, in place.

    Drawn with NumPy from the stream ``head``, so that every method, device and machine starts
    from the same head; with several tasks each has a stream of its own.
    """
    outputs, features = head.weight.shape
    context = (task,) if task else ()
    generator = np.random.Generator(np.random.Philox(stream_seed(seed, "head", *context)))
    weight = init.weights(outputs, features, generator)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        if head.bias is not None:
            head.bias.zero_()
