"""Which class a network gives each point of the plane."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.errors import DataError, UserError
from bench.models.network import Network
from bench.parts import Measured, Measurement, Measuring, measurement


@measurement("decision-map")
class DecisionMap(Measurement):
    """The class of the highest output over a grid of the plane, and the test split's top-1.

    The array ``class`` is ``(side, side)`` float32, its first row at the highest second
    coordinate and its first column at the lowest first one, as a picture is seen; a point is the
    middle of a cell of the square from ``lowest`` to ``highest`` in both coordinates. With two
    classes its mean over seeds is how many of them give class 1.
    """

    roles = ("trained",)
    data = "task"
    metrics = {"top1": ("%", "highest")}
    lowest: float = -1.0
    highest: float = 1.0
    side: PositiveInt = 64

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the map; UserError if inputs are no points, or the square is none."""
        if self.lowest >= self.highest:
            raise UserError(
                f"the map would go from {self.lowest} to {self.highest}",
                field="measure.part.decision-map.lowest",
                remedy="use a number below highest",
            )
        shape = next(iter(measuring.batches("test", 1)))[0].shape[1:]
        if tuple(shape) != (2,):
            raise DataError(
                f"a decision map is of the plane, and a row of {measuring.dataset} has the "
                f"shape {tuple(shape)}",
                remedy="use vectors of two numbers",
            )
        network = measuring.network("trained")
        found = self._classes(network, measuring.device)
        top1 = measuring.scores(network, "test")["top1"]
        return Measured({"top1": top1}, arrays={"class": found})

    def _classes(self, network: Network, device: torch.device) -> Tensor:
        step = (self.highest - self.lowest) / self.side
        middles = self.lowest + step * (torch.arange(self.side, dtype=torch.float64) + 0.5)
        second, first = torch.meshgrid(middles.flip(0), middles, indexing="ij")
        points = torch.stack([first, second], dim=-1).reshape(-1, 2).float().to(device)
        with torch.no_grad():
            classes: Tensor = network(points).logits.argmax(dim=1)
        return classes.reshape(self.side, self.side).float()
