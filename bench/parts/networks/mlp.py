"""A multilayer perceptron."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import PositiveInt
from torch import nn

from bench.parts import Architecture, network

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


@network("mlp")
class MultilayerPerceptron(Architecture):
    """Linear layers with an activation after each; the head is the network's last layer.

    Any input is flattened. ``widths`` are those of the hidden layers; parameters start as
    ``torch.nn.Linear``'s do. ``layer_norm`` normalises what a hidden layer gives before its
    activation (Ba et al. 2016).
    """

    widths: tuple[PositiveInt, ...] = (64, 64)
    activation: Literal["relu", "gelu", "tanh"] = "relu"
    layer_norm: bool = False

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the hidden layers."""
        layers: list[nn.Module] = [nn.Flatten()]
        width = math.prod(input_shape)
        for following in self.widths:
            normalisation = [nn.LayerNorm(following)] if self.layer_norm else []
            layers += [nn.Linear(width, following), *normalisation, _ACTIVATIONS[self.activation]()]
            width = following
        module = nn.Sequential(*layers)
        module.num_features = width  # type: ignore[assignment]
        return module
