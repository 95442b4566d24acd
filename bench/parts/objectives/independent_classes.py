"""One class of several, each output a yes or no of its own."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data
from bench.parts.objectives.classification import Classification

_CLASSES = Classification()


@objective("independent-classes")
class IndependentClasses(Objective):
    """Binary cross-entropy of the sigmoid of each output, in nats, mean over outputs.

    As of Mudrakarta et al. 2019, appendix A.2. The target is 1 for a row's class and 0 for the
    others; accuracies are those of ``classification``.
    """

    metrics = {
        "top1": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "top1"
    term = "binary-cross-entropy"

    def width(self, data: Data) -> int:
        """Return the number of classes."""
        return _CLASSES.width(data)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows and outputs."""
        wanted = one_hot(targets, outputs.shape[1]).to(outputs.dtype)
        return binary_cross_entropy_with_logits(outputs, wanted)

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return top-1, mean class accuracy and the loss over a split, in float64."""
        values = outputs.astype(np.float64)
        own = np.arange(values.shape[1])[None, :] == targets[:, None]
        # log(1 + e^z) - z·t, without overflow.
        loss = np.logaddexp(0, values) - values * own
        accuracies = _CLASSES.scores(outputs, targets)
        return {
            "top1": accuracies["top1"],
            "mean_class_accuracy": accuracies["mean_class_accuracy"],
            "loss": float(loss.mean()),
        }
