"""Linear layers whose units have a scale of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class ScaledLinear(nn.Module):
    """y = s ⊙ (Wx) + b: a scale and a bias a unit, as of a normalisation without statistics.

    Weights and biases start as those of ``torch.nn.Linear``, scales at 1.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = nn.Linear(inputs, outputs)
        self.weight, self.bias = plain.weight, plain.bias
        self.scale = nn.Parameter(torch.ones(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs ``(b, outputs)`` of inputs ``(b, inputs)``."""
        return self.scale * linear(inputs, self.weight) + self.bias
