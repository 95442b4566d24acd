"""Initialisation of the new head from the cell's own stream."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from bench.spec.recipe import HeadInit, Kaiming, Normal
from bench.spec.seeds import stream_seed


def initialise_head(head: nn.Linear, init: HeadInit, seed: int) -> None:
    """Fill a head's weights, and set its bias to zero, in place.

    Drawn with NumPy from the stream ``head``, so that every method, device and machine starts
    from the same head. ``kaiming`` is N(0, 2/fan), with ``fan_in`` the number of
    features and ``fan_out`` the number of classes (He et al. 2015, eqs. 10 and 14).
    """
    classes, features = head.weight.shape
    settings = init.settings
    if isinstance(settings, Normal):
        std = settings.std
    elif isinstance(settings, Kaiming):
        std = math.sqrt(2 / (features if settings.mode == "fan_in" else classes))
    else:
        std = 0.0
    generator = np.random.Generator(np.random.Philox(stream_seed(seed, "head")))
    weight = std * generator.standard_normal((classes, features))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        if head.bias is not None:
            head.bias.zero_()
