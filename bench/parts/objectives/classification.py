"""One class of several."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("classification")
class Classification(Objective):
    """Mean cross-entropy in nats; top-1, top-5 and mean class accuracy."""

    metrics = {
        "top1": ("%", "highest"),
        "top5": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "top1"
    term = "cross-entropy"

    def width(self, data: Data) -> int:
        """Return the number of classes."""
        if data.classes is None:
            raise DataError(
                "classification needs class labels, and the targets are numbers",
                remedy="use objective: regression",
            )
        return data.classes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return cross_entropy(outputs, targets)

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return top-1, top-5, mean class accuracy and loss, in float64.

        ``top1`` and ``top5`` (of ``min(5, classes)``) are fractions in [0, 1]; of equal outputs
        the lower class counts as higher, as ``argmax`` has it. ``mean_class_accuracy`` is the
        mean over the classes that occur of their top-1.
        """
        values = outputs.astype(np.float64)
        rows = np.arange(len(targets))
        own = values[rows, targets][:, None]
        lower_class = np.arange(values.shape[1])[None, :] < targets[:, None]
        rank = ((values > own) | ((values == own) & lower_class)).sum(axis=1)
        correct = rank == 0
        counts = np.bincount(targets, minlength=values.shape[1])
        hits = np.bincount(targets, weights=correct, minlength=values.shape[1])
        present = counts > 0
        top = values.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(values - top).sum(axis=1)) + top[:, 0]
        return {
            "top1": float(correct.mean()),
            "top5": float((rank < min(5, values.shape[1])).mean()),
            "mean_class_accuracy": float((hits[present] / counts[present]).mean()),
            "loss": float((log_sum - own[:, 0]).mean()),
        }
