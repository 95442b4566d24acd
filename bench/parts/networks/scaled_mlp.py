"""A multilayer perceptron whose units have scales, and a linear embedding."""

from __future__ import annotations

import math
from itertools import pairwise

from pydantic import PositiveInt
from torch import nn

from bench.models.scaled import ScaledLinear
from bench.parts import Architecture, network


@network("scaled-mlp")
class ScaledPerceptron(Architecture):
    """The network of Mudrakarta et al. 2019, appendix A.2, whose logits are the head.

    Hidden layers with ReLU, then a linear embedding. Where scales sit is our choice, since the
    paper does not say: each unit of each layer, the embedding's too, multiplies what its weights
    give before the bias is added. The logits have none. Any input is flattened.
    """

    widths: tuple[PositiveInt, ...] = (8, 16, 16, 8)
    embedding: PositiveInt = 2

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the layers up to the embedding, which is the network's features."""
        layers: list[nn.Module] = [nn.Flatten()]
        sizes = [math.prod(input_shape), *self.widths]
        for width, following in pairwise(sizes):
            layers += [ScaledLinear(width, following), nn.ReLU()]
        module = nn.Sequential(*layers, ScaledLinear(sizes[-1], self.embedding))
        module.num_features = self.embedding  # type: ignore[assignment]
        return module
