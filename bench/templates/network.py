"""A network: from inputs to features; the head is added to it."""

import math

from pydantic import PositiveInt
from torch import Tensor, nn

from bench.parts import Architecture, network


class Features(nn.Module):
    """Two layers; ``num_features`` says how wide what comes out is."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.num_features = width
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features of shape (rows, num_features)."""
        features: Tensor = self.layers(inputs)
        return features


@network("my-part")
class MyPart(Architecture):
    """A network of two layers: say here what it is, and which paper has it."""

    # Annotated fields are parameters. In a suite: `axes: {backbone: my-part}`, or with others,
    # `networks: {wide: {my-part: {width: 64}}}` and `axes: {backbone: wide}`.
    width: PositiveInt = 32

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the module for rows of a shape, such as (3, 32, 32); weights as torch draws."""
        return Features(math.prod(input_shape), self.width)
