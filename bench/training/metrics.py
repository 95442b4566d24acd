"""Metrics of a split from its logits, in float64 on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def split_metrics(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float]:
    """Return top-1, top-5, mean class accuracy and loss.

    Parameters
    ----------
    logits
        ``(n, classes)``, finite.
    labels
        ``(n,)``, in ``range(classes)``.

    Returns
    -------
    dict
        ``top1`` and ``top5`` (of ``min(5, classes)``): fractions in [0, 1]; of equal logits
        the lower class counts as higher, as ``argmax`` has it. ``mean_class_accuracy``: the
        mean over the classes that occur of their top-1. ``loss``: mean cross-entropy in nats.
    """
    values = logits.astype(np.float64)
    rows = np.arange(len(labels))
    own = values[rows, labels][:, None]
    lower_class = np.arange(values.shape[1])[None, :] < labels[:, None]
    rank = ((values > own) | ((values == own) & lower_class)).sum(axis=1)
    correct = rank == 0
    counts = np.bincount(labels, minlength=values.shape[1])
    hits = np.bincount(labels, weights=correct, minlength=values.shape[1])
    present = counts > 0
    top = values.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(values - top).sum(axis=1)) + top[:, 0]
    return {
        "top1": float(correct.mean()),
        "top5": float((rank < min(5, values.shape[1])).mean()),
        "mean_class_accuracy": float((hits[present] / counts[present]).mean()),
        "loss": float((log_sum - own[:, 0]).mean()),
    }
