"""Numbers, by squared error."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn.functional import mse_loss

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("regression")
class Regression(Objective):
    """Mean squared error over rows and outputs; the head has one output a target number."""

    metrics = {
        "mse": ("", "lowest"),
        "rmse": ("", "lowest"),
        "r2": ("", "highest"),
        "loss": ("", "lowest"),
    }
    score = "mse"
    term = "squared-error"
    targets = "numbers"

    def width(self, data: Data) -> int:
        """Return the number of numbers in a row's target."""
        if data.classes is not None:
            raise DataError(
                "regression needs numbers as targets, and these are class labels",
                remedy="use objective: classification, or float targets",
            )
        return math.prod(data.target_shape)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error."""
        return mse_loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype))

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return the errors in float64; ``r2`` is one less their share of the targets' variance.

        The variance is about each output's mean over the split; of constant targets r2 is 0.
        """
        true = targets.reshape(outputs.shape).astype(np.float64)
        error = float(np.square(outputs.astype(np.float64) - true).mean())
        spread = float(np.square(true - true.mean(axis=0)).mean())
        return {
            "mse": error,
            "rmse": math.sqrt(error),
            "r2": 1.0 - error / spread if spread else 0.0,
            "loss": error,
        }
