"""p(y_s | y_t): which source classes a target class is like, from a source model's predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.parts.kinds import Array

# Strengths C of scikit-learn's penalty that the released code tries; of equal ones it takes the
# first of its list, which begins with the largest.
STRENGTHS = (
    1e4, 3e3, 1e3, 3e2, 1e2, 3e1, 1e1, 3.0, 1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4,
)  # fmt: skip
_ITERATIONS = 200
# Where every row of a validation split is told right, no finite scale is the best.
LEAST_SCALE, LARGEST_SCALE = 1e-3, 1e3


@dataclass(frozen=True)
class Reverse:
    """What the reverse approach found.

    Attributes
    ----------
    relationship
        p(y_s | y_t), ``(classes, source classes)``, float64; rows sum to one.
    strength
        C of the multinomial logistic regression that told the most validation rows right.
    accuracy
        Their share.
    scale
        What its outputs are multiplied by, to be calibrated on those rows: one over a temperature.
    """

    relationship: Tensor
    strength: float
    accuracy: float
    scale: float


def direct(probabilities: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return p(y_s | y_t) as the mean prediction a class (You et al. 2020).

    Parameters
    ----------
    probabilities
        ``(n, source classes)``, float64, of training rows with ``labels`` ``(n,)``.

    Returns
    -------
    Tensor
        ``(classes, source classes)``; of a class without a row the mean of all rows.
    """
    sums = probabilities.new_zeros(classes, probabilities.shape[1])
    sums.index_add_(0, labels, probabilities)
    counts = torch.bincount(labels, minlength=classes).unsqueeze(1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), probabilities.mean(dim=0))


def reverse(
    train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], classes: int
) -> Reverse:
    """Return p(y_s | y_t) by Bayes' rule from a learnt p(y_t | y_s) (You et al. 2020, algorithm 1).

    A linear map g from source probabilities to target classes, without a constant, is fitted to
    the training rows under each of `STRENGTHS`; the validation rows choose one, and the scale of
    its outputs. p(y_t | y_s = s) is the softmax of g at certainty of s, and p(y_s) the mean of all
    rows' probabilities. Of the released code, not of the paper: each row is normalised, so that
    p(y_t) is not asked for.

    Parameters
    ----------
    train, validation
        Source probabilities ``(n, source classes)``, float64, and labels ``(n,)``.
    """
    best: tuple[float, float, Tensor] | None = None
    weight: Tensor | None = None
    # From the strongest penalty to the weakest, each from where the one before it ended; of equal
    # accuracies the weakest is kept.
    for strength in reversed(STRENGTHS):
        weight = fitted(*train, classes, strength, weight)
        told = (validation[0] @ weight.T).argmax(dim=1) == validation[1]
        accuracy = float(told.double().mean())
        if best is None or accuracy >= best[0]:
            best = accuracy, strength, weight
    assert best is not None
    accuracy, strength, weight = best
    scale = calibrated(validation[0] @ weight.T, validation[1])
    marginal = torch.cat([train[0], validation[0]]).mean(dim=0)
    # In logarithms: a class that no source class is like would be nothing over nothing.
    joint = torch.log_softmax(scale * weight, dim=0) + marginal.log()
    return Reverse(torch.softmax(joint, dim=1), strength, accuracy, scale)


def fitted(
    rows: Tensor, labels: Tensor, classes: int, strength: float, start: Tensor | None = None
) -> Tensor:
    """Return the weights ``(classes, d)`` that minimise Σ_i CE(W x_i, y_i) + ‖W‖² / 2C.

    Multinomial logistic regression without a constant, as scikit-learn scales it; strictly convex,
    so that where the search begins does not decide where it ends. It takes at most 200 iterations.
    """
    if start is None:
        start = rows.new_zeros(classes, rows.shape[1])
    weight = start.clone().requires_grad_()
    decay = 1 / (2 * strength * len(rows))
    optimizer = torch.optim.LBFGS(
        [weight],
        max_iter=_ITERATIONS,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(rows @ weight.T, labels) + decay * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach()


def calibrated(logits: Tensor, labels: Tensor) -> float:
    """Return the scale s > 0 at which softmax(s z) has the least negative log-likelihood.

    One over the temperature of Guo et al. 2017, section 4.2 (You et al. 2020, algorithm 2). The
    loss is convex in s, so that its slope's sign says on which side the minimum lies; it is sought
    between `LEAST_SCALE` and `LARGEST_SCALE`, to the last digits, by halving the logarithm.
    """
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    low, high = math.log(LEAST_SCALE), math.log(LARGEST_SCALE)
    while high - low > 1e-12:
        middle = (low + high) / 2
        expected = (torch.softmax(math.exp(middle) * logits, dim=1) * logits).sum(dim=1)
        if float((expected - own).mean()) > 0:
            high = middle
        else:
            low = middle
    return math.exp((low + high) / 2)


def held_out(labels: Array, share: float, stream: Stream) -> Array:
    """Return which rows ``(n,)`` are for validation: of each class that share, drawn.

    Rounded to whole rows; of a class with two rows or more at least one, and never all.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        chosen[rows[stream.permutation(len(rows))[:count]]] = True
    return chosen
