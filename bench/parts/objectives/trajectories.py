"""Where an agent goes: several ways, each with a probability."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

from bench.data.trajectories import FUTURE, VALID, Y
from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data
from bench.parts.motion_metrics import (
    Forecasts,
    mean_average_precision,
    min_ade,
    min_fde,
    miss_rate,
)


@objective("trajectories")
class Trajectories(Objective):
    """Smooth L1 of the closest mode, plus the cross-entropy of the modes with it as the class.

    The closest mode is the one of the least mean distance over the valid states (Nayakanti et
    al. 2023, section 3.3, with smooth L1 in place of a Gaussian). Smooth L1 is of metres, linear
    from 1 m on, averaged over an agent's valid states and both coordinates; agents weigh the
    same.

    The head says ``modes`` paths of 80 points, x and y of each, mode by mode, in units of
    ``scale`` metres; then a logit for each mode. Metrics are Waymo's at 3 and 8 seconds
    (`bench.parts.motion_metrics`), over all modes: minADE and minFDE in metres, the miss rate,
    and mAP; ``loss`` is the objective.
    """

    metrics = {
        "min_ade_3s": ("m", "lowest"),
        "min_ade_8s": ("m", "lowest"),
        "min_fde_3s": ("m", "lowest"),
        "min_fde_8s": ("m", "lowest"),
        "miss_rate_3s": ("%", "lowest"),
        "miss_rate_8s": ("%", "lowest"),
        "map_3s": ("%", "highest"),
        "map_8s": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "min_ade_8s"
    term = "closest-mode"
    targets = "trajectories"
    modes: PositiveInt = 6
    scale: PositiveFloat = 10.0

    def width(self, data: Data) -> int:
        """Return the number of coordinates and logits."""
        if data.classes is not None or data.target_shape != (FUTURE + 1, VALID + 1):
            given = f"{data.classes} classes" if data.classes else f"{data.target_shape} numbers"
            raise DataError(
                f"trajectories are {(FUTURE + 1, VALID + 1)} numbers an agent (the present and "
                f"80 states to come), and the targets are {given}",
                remedy="use a dataset of trajectories, or objective: classification or regression",
            )
        return self.modes * (2 * FUTURE + 1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over agents; one without a valid state to come adds nothing."""
        paths, logits = self._said(outputs)
        targets = targets.to(outputs.dtype)
        truth, valid = targets[:, 1:, : Y + 1], targets[:, 1:, VALID]
        states = valid.sum(dim=1).clamp(min=1)
        away = torch.linalg.vector_norm(paths.detach() - truth[:, None], dim=3)
        closest = (away * valid[:, None]).sum(dim=2).argmin(dim=1)
        path = paths[torch.arange(len(paths), device=paths.device), closest]
        error = smooth_l1_loss(path, truth, reduction="none").mean(dim=2)
        certainty = cross_entropy(logits, closest, reduction="none") * valid.any(dim=1)
        return ((error * valid).sum(dim=1) / states + certainty).mean()

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return the metrics in float64.

        Raises
        ------
        DataError
            If no agent has a valid state at 3 or at 8 seconds.
        """
        states = targets.astype(np.float64)
        for seconds in (3, 8):
            if not (states[:, 10 * seconds, VALID] == 1).any():
                raise DataError(f"no agent of the split has a valid state at {seconds} s")
        said = torch.from_numpy(outputs.astype(np.float64))
        paths, logits = self._said(said)
        forecasts = Forecasts(paths.numpy(), logits.softmax(dim=1).numpy(), states)
        found = {
            f"{name}_{seconds}s": metric(forecasts, seconds)
            for name, metric in _METRICS.items()
            for seconds in (3, 8)
        }
        return {**found, "loss": self.loss(said, torch.from_numpy(states)).item()}

    def _said(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return paths ``(b, modes, 80, 2)`` in metres and logits ``(b, modes)``."""
        numbers, logits = outputs[:, : -self.modes], outputs[:, -self.modes :]
        return self.scale * numbers.reshape(-1, self.modes, FUTURE, 2), logits


_METRICS = {
    "min_ade": min_ade,
    "min_fde": min_fde,
    "miss_rate": miss_rate,
    "map": mean_average_precision,
}
