"""Where in an image something is: one box."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("boxes")
class Boxes(Objective):
    """Smooth L1 over the four numbers of a box (Girshick 2015, eq. 3), averaged over them.

    A box is x and y of its centre, width and height, as fractions of the image's side. ``beta``
    is the error from which on the loss is linear, 1 in the source, where offsets are in units of
    a proposal's size; as fractions of an image all errors would lie below that, and the loss
    would be the squared error.

    ``iou`` is the mean intersection over union of the boxes said and the true ones, ``iou50`` the
    share of images where it is above one half (Everingham et al. 2010, section 4.2).
    """

    metrics = {"iou": ("%", "highest"), "iou50": ("%", "highest"), "loss": ("", "lowest")}
    score = "iou"
    term = "smooth-l1"
    targets = "boxes"
    beta: PositiveFloat = 0.05

    def width(self, data: Data) -> int:
        """Return 4."""
        if data.classes is not None or data.target_shape != (4,):
            given = f"{data.classes} classes" if data.classes else f"{data.target_shape} numbers"
            raise DataError(
                f"boxes are four numbers an image, and the targets are {given}",
                remedy="use a dataset of boxes, or objective: classification or regression",
            )
        return 4

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows and numbers."""
        return smooth_l1_loss(outputs, targets.to(outputs.dtype), beta=self.beta)

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return the overlaps and the loss, in float64."""
        said, true = outputs.astype(np.float64), targets.astype(np.float64)
        overlap = intersection_over_union(said, true)
        error = np.abs(said - true)
        curved = error < self.beta
        losses = np.where(curved, 0.5 * error**2 / self.beta, error - 0.5 * self.beta)
        return {
            "iou": float(overlap.mean()),
            "iou50": float((overlap > 0.5).mean()),
            "loss": float(losses.mean()),
        }


def intersection_over_union(first: Array, second: Array) -> Array:
    """Return the overlap of boxes ``(n, 4)`` row by row, in [0, 1].

    A width or height below zero is none; two boxes without area overlap in nothing.
    """
    half = [np.maximum(boxes[:, 2:], 0.0) / 2 for boxes in (first, second)]
    low = np.maximum(first[:, :2] - half[0], second[:, :2] - half[1])
    high = np.minimum(first[:, :2] + half[0], second[:, :2] + half[1])
    both = np.maximum(high - low, 0.0).prod(axis=1)
    either = sum(4 * size.prod(axis=1) for size in half) - both
    overlap: Array = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return np.minimum(overlap, 1.0)
