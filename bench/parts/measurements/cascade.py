"""Cascades over resolutions: small images first, larger ones where the network is not sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from bench.errors import UserError
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.kinds import Tensors

# No confidence reaches it: a resolution with this threshold is left out.
LEFT_OUT = 2.0
_MOST = 5_000_000
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@measurement("cascade")
class Cascade(Measurement):
    """Accuracy and average cost of a cascade (Mudrakarta et al. 2019, section 3.2).

    The tasks of ``joint`` are one classification at several image sizes, a task a size. A
    cascade runs through them from the smallest: a resolution answers the images on which its
    confidence, the largest softmax probability, is at least its threshold, and passes on the
    others; the largest answers all that come to it. An image costs the multiply-adds of every
    network that saw it.

    The thresholds are chosen on the validation split, over all combinations: of each resolution
    those confidences that would let it answer 1, 2, … ``thresholds`` equal parts of all
    validation images, or none, in which case it is left out and costs nothing. Of the
    combinations whose validation accuracy is not below that of the largest resolution alone the
    one of least average cost is taken; of several, the most accurate one. The test split is
    scored by it once.

    Costs are relative to the largest resolution alone. Curves: which share of the test images a
    resolution ``answered``, its accuracy ``alone``, its ``threshold`` (2: left out) and the
    ``multiply_adds`` of one image (of one crop, where several are averaged).
    """

    roles = ("joint",)
    data = "none"
    reads = "predictions"
    metrics = {
        "cascade/top1": ("%", "highest"),
        "cascade/largest/top1": ("%", "highest"),
        "cascade/cost": ("%", "lowest"),
        "cascade/saving": ("%", "highest"),
    }
    curves = {
        "cascade/answered": "resolution",
        "cascade/alone": "resolution",
        "cascade/threshold": "resolution",
        "cascade/multiply_adds": "resolution",
    }
    thresholds: PositiveInt = 20

    def __call__(self, measuring: Measuring) -> Measured:
        """Choose thresholds on the validation split, and score the test split by them."""
        tensors = measuring.parent("joint")
        sizes, names = _resolutions(tensors)
        costs = np.array([int(tensors[f"{name}multiply_adds"]) for name in names])
        validation = _split(tensors, names, "validation/")
        test = _split(tensors, names, "")
        thresholds = choose(validation, costs, self.thresholds)
        by = answered_by(test.confidence, thresholds)
        cost = mean_cost(by, thresholds, costs) / float(costs[-1])
        alone = test.right.mean(axis=1).tolist()
        shares = np.bincount(by, minlength=len(names)) / len(by)
        return Measured(
            {
                "cascade/top1": float(test.right[by, np.arange(len(by))].mean()),
                "cascade/largest/top1": alone[-1],
                "cascade/cost": cost,
                "cascade/saving": 1.0 - cost,
            },
            {
                "cascade/answered": Line(sizes, shares.tolist()),
                "cascade/alone": Line(sizes, alone),
                "cascade/threshold": Line(sizes, thresholds.tolist()),
                "cascade/multiply_adds": Line(sizes, costs.tolist()),
            },
        )


@dataclass(frozen=True)
class Split:
    """What networks said of one split, from the smallest resolution to the largest.

    Attributes
    ----------
    confidence
        ``(resolutions, n)`` largest softmax probabilities.
    right
        ``(resolutions, n)``: whether the class of the largest output is the image's.
    """

    confidence: Floats
    right: NDArray[np.bool_]


def choose(split: Split, costs: Ints, parts: int) -> Floats:
    """Return a threshold for each resolution, by the rule that `Cascade` states; the last is 0.

    Parameters
    ----------
    costs
        ``(resolutions,)`` multiply-adds of an image.

    Raises
    ------
    UserError
        If there are too many combinations.
    """
    count = len(costs) - 1
    if (parts + 1) ** count > _MOST:
        raise UserError(
            f"{parts} thresholds for each of {count} resolutions are more combinations than can "
            "be tried",
            field="measure.part.cascade.thresholds",
            remedy="use fewer",
        )
    n = split.right.shape[1]
    ranks = -(-np.arange(1, parts + 1) * n // parts) - 1
    grids = -np.sort(-split.confidence[:-1], axis=1)[:, ranks]
    # The number of the first threshold, counted from 1, by which an image is answered.
    pairs = zip(grids, split.confidence, strict=False)
    first = [np.searchsorted(-grid, -confidence) + 1 for grid, confidence in pairs]
    cost, right = (np.zeros([parts + 1] * count, dtype=np.int64) for _ in range(2))
    for k in range(count + 1):
        among = _passed(first[:k], np.ones(n, dtype=np.int64), parts)
        hits = _passed(first[:k], split.right[k], parts)
        free = (..., *[None] * (count - k))
        if k == count:
            cost += costs[k] * among
            right += hits
            continue
        used = np.arange(parts + 1) > 0
        later = (..., *[None] * (count - k - 1))
        cost += (costs[k] * among[..., None] * used)[later]
        right += hits[free] - _passed(first[: k + 1], split.right[k], parts)[later]
    good = np.flatnonzero(right >= split.right[-1].sum())
    best = good[np.lexsort((-right.flat[good], cost.flat[good]))[0]]
    chosen = np.unravel_index(best, cost.shape) if count else ()
    levels = [grid[at - 1] if at else LEFT_OUT for grid, at in zip(grids, chosen, strict=True)]
    return np.array([*levels, 0.0])


def _passed(first: Sequence[Ints], weights: NDArray[Any], parts: int) -> Ints:
    """Return the weight of the images that several resolutions pass on, by their thresholds.

    ``first`` are k of ``(n,)``; element ``[t₁, …, t_k]`` is the sum over images whose first
    threshold is above t in every one of them.
    """
    if not len(first):
        return np.array(weights.sum())
    table = np.zeros([parts + 2] * len(first), dtype=np.int64)
    np.add.at(table, tuple(first), weights)
    for axis in range(table.ndim):
        table = np.flip(np.flip(table, axis).cumsum(axis), axis)
        # Above t means from t + 1 on.
        table = table.take(range(1, parts + 2), axis)
    return table


def answered_by(confidence: Floats, thresholds: Floats) -> Ints:
    """Return the number of the resolution that answers each image, ``(n,)``."""
    by: Ints = np.argmax(confidence >= thresholds[:, None], axis=0)
    return by


def mean_cost(by: Ints, thresholds: Floats, costs: Ints) -> float:
    """Return the mean multiply-adds of images that were answered by these resolutions."""
    upto = np.where(thresholds == LEFT_OUT, 0, costs).cumsum()
    return float(upto[by].mean())


def _resolutions(tensors: Tensors) -> tuple[list[int], list[str]]:
    """Return the image sizes, smallest first, and what stands before the names of their tensors."""
    names = [n.removesuffix("multiply_adds") for n in tensors if n.endswith("multiply_adds")]
    if any(f"{name}validation/outputs" not in tensors for name in names):
        raise UserError(
            "the thresholds of a cascade are chosen on validation, and the training whose "
            "predictions it reads holds nothing out",
            field="recipe.validation",
            remedy="set recipe.validation, such as 0.1",
        )
    if any(f"{name}image_size" not in tensors for name in names):
        raise UserError("a cascade is one over image sizes, and these inputs are no images")
    found = sorted((int(tensors[f"{name}image_size"]), name) for name in names)
    sizes = [size for size, _ in found]
    if len(set(sizes)) < len(sizes):
        raise UserError(
            f"the tasks of a cascade have image sizes of their own, and these have {sizes}",
            field="tasks",
            remedy="give each task another image.size",
        )
    return sizes, [name for _, name in found]


def _split(tensors: Tensors, names: list[str], split: str) -> Split:
    outputs = [tensors[f"{name}{split}outputs"] for name in names]
    targets = [tensors[f"{name}{split}targets"] for name in names]
    for name, each in zip(names, targets, strict=True):
        if each.is_floating_point():
            raise UserError("a cascade answers with classes, and these targets are numbers")
        if not each.equal(targets[0]):
            tasks = f"{names[0].rstrip('/')} and {name.rstrip('/')}"
            raise UserError(
                f"the tasks {tasks} were not scored on the same images in the same order: their "
                f"{split.rstrip('/') or 'test'} targets differ",
                field="tasks",
                remedy="give the tasks one dataset, sampling rate and long tail",
            )
    confidence = np.stack([_confidence(each) for each in outputs])
    said = np.stack([each.numpy().argmax(axis=1) for each in outputs])
    return Split(confidence, said == targets[0].numpy())


def _confidence(outputs: Tensor) -> Floats:
    logits = outputs.numpy().astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    confidence: Floats = 1.0 / np.exp(logits - top).sum(axis=1)
    return confidence
