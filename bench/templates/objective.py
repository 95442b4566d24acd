"""An objective: what is learnt, and by what it is scored."""

import numpy as np
from pydantic import NonNegativeFloat
from scipy.special import log_softmax
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("my-part")
class MyPart(Objective):
    """Cross-entropy with smoothed labels: say here what it is, and which paper has it."""

    # Name to unit and better side; of "%" a fraction is returned. Literals, like all defaults:
    # suites are checked by reading this file.
    metrics = {"top1": ("%", "highest"), "loss": ("", "lowest")}
    # The metric by which states and settings are chosen on a validation split.
    score = "top1"
    # The loss's name in curves.
    term = "smoothed-cross-entropy"

    # Annotated fields are parameters: `task: {objective: {my-part: {smoothing: 0.1}}}`.
    smoothing: NonNegativeFloat = 0.1

    def width(self, data: Data) -> int:
        """Return how many outputs the head has."""
        if data.classes is None:
            raise DataError("smoothed labels need classes")
        return data.classes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return cross_entropy(outputs, targets, label_smoothing=self.smoothing)

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return every metric of a whole split."""
        logs = log_softmax(outputs.astype(np.float64), axis=1)
        return {
            "top1": float((logs.argmax(axis=1) == targets).mean()),
            "loss": float(-logs[np.arange(len(targets)), targets].mean()),
        }
