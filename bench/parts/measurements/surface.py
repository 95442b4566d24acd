"""Which number a network gives each point of the plane."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.errors import DataError, UserError
from bench.models.network import Network
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.objectives.noisy_regression import NoisyRegression

_BATCH = 2000


@measurement("surface")
class Surface(Measurement):
    """The first output over a grid of the plane, and its errors on the test split.

    The arrays ``output`` and ``target`` are ``(side, side)`` float32, their first row at the
    highest second coordinate and their first column at the lowest first one, as a picture is
    seen; a point is the middle of a cell of the square from ``lowest`` to ``highest`` in both
    coordinates. ``target`` is the first target of the nearest point of the test split.

    Errors are those of `NoisyRegression`, of the first output over that split: the first number
    of a target is true, the last is what was observed, and a single one is both.
    """

    roles = ("trained",)
    data = "task"
    metrics = {
        "mse": ("", "lowest"),
        "half_mse": ("", "lowest"),
        "smooth_l1": ("", "lowest"),
        "noisy_half_mse": ("", "lowest"),
    }
    lowest: float = -1.0
    highest: float = 1.0
    side: PositiveInt = 64

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the surfaces; UserError if inputs are no points, or the square is none."""
        if self.lowest >= self.highest:
            raise UserError(
                f"the surface would go from {self.lowest} to {self.highest}",
                field="measure.part.surface.lowest",
                remedy="use a number below highest",
            )
        rows = list(measuring.batches("test", _BATCH))
        inputs, targets = (torch.cat(parts) for parts in zip(*rows, strict=True))
        if tuple(inputs.shape[1:]) != (2,):
            raise DataError(
                f"a surface is over the plane, and a row of {measuring.dataset} has the "
                f"shape {tuple(inputs.shape[1:])}",
                remedy="use vectors of two numbers",
            )
        numbers = targets.reshape(len(targets), -1).float()
        network, grid = measuring.network("trained"), self._grid().to(measuring.device)
        errors = NoisyRegression().scores(
            _first_output(network, inputs)[:, None].cpu().numpy(),
            numbers[:, [0, -1]].cpu().numpy(),
        )
        shape = (self.side, self.side)
        return Measured(
            {name: errors[name] for name in self.metrics},
            arrays={
                "output": _first_output(network, grid).reshape(shape),
                "target": numbers[_nearest(inputs, grid), 0].reshape(shape),
            },
        )

    def _grid(self) -> Tensor:
        """Return the points ``(side², 2)``, row by row from the upper left."""
        step = (self.highest - self.lowest) / self.side
        middles = self.lowest + step * (torch.arange(self.side, dtype=torch.float64) + 0.5)
        second, first = torch.meshgrid(middles.flip(0), middles, indexing="ij")
        return torch.stack([first, second], dim=-1).reshape(-1, 2).float()


def _first_output(network: Network, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part).logits[:, 0] for part in torch.split(inputs, _BATCH)])


def _nearest(inputs: Tensor, points: Tensor) -> Tensor:
    """Return for each point ``(p, 2)`` the row of ``inputs`` (n, 2) that is nearest."""
    # A part at a time: the distances of all would need p · n numbers.
    exact = "donot_use_mm_for_euclid_dist"
    parts = torch.split(points, 200)
    return torch.cat([torch.cdist(p, inputs, compute_mode=exact).argmin(dim=1) for p in parts])
