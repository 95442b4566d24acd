"""A number that is observed with noise."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import mse_loss

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("noisy-regression")
class NoisyRegression(Objective):
    """Mean squared error to what is observed, scored against what is true.

    A target is a pair, ``(n, 2)``: the number without noise, and the one observed, which is
    learnt from. ``mse`` and ``half_mse`` are of the number without noise, and so is
    ``smooth_l1`` (Girshick 2015, eq. 3: half the square of an error below 1, else the error less
    one half); ``noisy_half_mse`` is half of ``loss``, the mean squared error to what is observed.
    """

    metrics = {
        "mse": ("", "lowest"),
        "half_mse": ("", "lowest"),
        "smooth_l1": ("", "lowest"),
        "noisy_half_mse": ("", "lowest"),
        "loss": ("", "lowest"),
    }
    score = "mse"
    term = "squared-error"
    targets = "numbers"

    def width(self, data: Data) -> int:
        """Return 1."""
        if data.classes is not None or data.target_shape != (2,):
            given = f"{data.classes} classes" if data.classes else f"{data.target_shape} numbers"
            raise DataError(
                "noisy-regression needs two numbers a row, without noise and as observed, and the "
                f"targets are {given}",
                remedy="use objective: regression, or such a dataset as ripples-original",
            )
        return 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error to what is observed."""
        return mse_loss(outputs[:, 0], targets[:, 1].to(outputs.dtype))

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return the errors, means over the rows, in float64."""
        errors = outputs.astype(np.float64) - targets.astype(np.float64)
        exact, noisy = np.square(errors).mean(axis=0)
        size = np.abs(errors[:, 0])
        smooth = np.where(size < 1, 0.5 * size**2, size - 0.5)
        return {
            "mse": float(exact),
            "half_mse": float(exact) / 2,
            "smooth_l1": float(smooth.mean()),
            "noisy_half_mse": float(noisy) / 2,
            "loss": float(noisy),
        }
