"""How far a network's confidence is from its accuracy, and the temperature that mends it."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import UserError
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.relationship import calibrated

_BATCH = 200


@measurement("calibration")
class Calibration(Measurement):
    """Temperature scaling (Guo et al. 2017, section 4.2), on the test split of what it learnt.

    ``scale`` is one over the temperature at which the mean negative log-likelihood, ``loss``, is
    least, between 0.001 and 1000. ``expected_gap`` is the expected calibration error over ``bins``
    of equal width; what begins with ``scaled_`` is at the scale. Co-Tuning's relationship takes
    the scale as its ``source_scale`` (You et al. 2020, algorithm 2).
    """

    roles = ("network",)
    metrics = {
        "scale": ("", "highest"),
        "loss": ("", "lowest"),
        "scaled_loss": ("", "lowest"),
        "expected_gap": ("%", "lowest"),
        "scaled_expected_gap": ("%", "lowest"),
    }
    bins: PositiveInt = 15

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the scale, and loss and gap before and after; UserError where it has no head."""
        network = measuring.network("network")
        found = []
        with torch.no_grad():
            for inputs, targets in measuring.batches("test", _BATCH):
                found.append((network(inputs).logits.double(), targets))
        logits, labels = (torch.cat(each) for each in zip(*found, strict=True))
        if measuring.classes != logits.shape[1] or not logits.any():
            raise UserError(
                f"a network with {logits.shape[1]} outputs cannot be calibrated on "
                f"{measuring.dataset}, which has {measuring.classes or 'no'} classes",
                remedy="measure it on the data that it was trained on, with its own head",
            )
        scale = calibrated(logits, labels)
        return Measured(
            {
                "scale": scale,
                "loss": float(cross_entropy(logits, labels)),
                "scaled_loss": float(cross_entropy(scale * logits, labels)),
                "expected_gap": expected_gap(logits, labels, self.bins),
                "scaled_expected_gap": expected_gap(scale * logits, labels, self.bins),
            }
        )


def expected_gap(logits: Tensor, labels: Tensor, bins: int) -> float:
    """Return the expected calibration error, Σ_B |B|/n |accuracy − confidence|, a fraction."""
    confidence, told = torch.softmax(logits, dim=1).max(dim=1)
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=logits.dtype, device=logits.device)
    gaps.index_add_(0, place, (told == labels).to(logits.dtype) - confidence)
    return float(gaps.abs().sum() / len(labels))
