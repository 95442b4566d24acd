"""Aggregates over many datasets, with stratified bootstrap intervals.

Everywhere ``scores`` maps a dataset to an array ``(methods, seeds)``, the methods in the same order
in all. The datasets are taken as given: each interval is of the aggregate's expected value
over new seeds of these datasets, and says nothing of other datasets. Within each dataset the seeds
are drawn with replacement, the same ones for all methods, which keeps the pairing.

The percentile bootstrap is too narrow for one dataset at few seeds (there Student's t is the
interval); it is meant for aggregates of many datasets. See Agarwal et al. 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Scores = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Aggregate:
    """One number over all datasets.

    Attributes
    ----------
    value
        The aggregate of the seeds there are; NaN where one of its scores is missing (NaN) or not
        finite, and where there is none.
    low, high
        Percentile bootstrap interval; the whole line (``-inf``, ``inf``) where a dataset has fewer
        than two seeds, or the value is NaN.
    datasets
        How many datasets.
    n
        The fewest seeds of any dataset.
    """

    value: float
    low: float
    high: float
    datasets: int
    n: int


def interquartile_mean(
    scores: Scores, *, confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[Aggregate, ...]:
    """Return each method's mean of the middle half of its runs, all datasets and seeds pooled.

    A dataset with more seeds weighs more. A quarter of the runs, rounded down, is cut at each end.

    Parameters
    ----------
    scores
        Dataset to ``(methods, seeds)``; no dataset gives an empty tuple.
    confidence, draws, seed
        Level of the interval, bootstrap samples, and their seed.

    Raises
    ------
    ValueError
        If the arrays are not two-dimensional or differ in their number of methods.
    """
    from scipy.stats import trim_mean

    def statistic(blocks: list[Array]) -> Array:
        pooled = np.concatenate(blocks, axis=-1)
        return np.asarray(trim_mean(pooled, 0.25, axis=-1), dtype=np.float64)

    blocks = _blocks(scores)
    known = _known(blocks)
    return _aggregates(blocks, statistic, known, confidence, draws, seed)


def mean_rank(
    scores: Scores,
    *,
    highest_is_best: bool = True,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Aggregate, ...]:
    """Return each method's rank by its mean over seeds, averaged over the datasets.

    Rank 1 is the best, ties share their mean rank. A missing score leaves no method with a rank.
    The interval is of the mean rank with as many seeds as there are: noise draws the ranks of
    methods that are close together towards each other.

    Parameters
    ----------
    scores
        Dataset to ``(methods, seeds)``; no dataset gives an empty tuple.
    highest_is_best
        False for errors and losses.
    confidence, draws, seed
        Level of the interval, bootstrap samples, and their seed.

    Raises
    ------
    ValueError
        If the arrays are not two-dimensional or differ in their number of methods.
    """
    from scipy.stats import rankdata

    sign = -1.0 if highest_is_best else 1.0

    def statistic(blocks: list[Array]) -> Array:
        ranks = [rankdata(sign * block.mean(axis=-1), axis=-1) for block in blocks]
        return np.asarray(np.mean(ranks, axis=0), dtype=np.float64)

    blocks = _blocks(scores)
    known = _known(blocks)
    return _aggregates(blocks, statistic, np.full_like(known, known.all()), confidence, draws, seed)


def probability_of_improvement(
    scores: Scores,
    first: int,
    second: int,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Aggregate:
    """Return the probability that a run of ``first`` scores above a run of ``second``.

    Of all pairs of runs on the same dataset, ties as a half (Mann and Whitney's statistic), and
    averaged over the datasets: 0.5 where neither is better. For errors and losses swap the two.

    Parameters
    ----------
    scores
        Dataset to ``(methods, seeds)``; without a dataset the value is NaN.
    first, second
        Rows of the arrays.
    confidence, draws, seed
        Level of the interval, bootstrap samples, and their seed.

    Raises
    ------
    ValueError
        If the arrays are not two-dimensional or differ in their number of methods.
    IndexError
        If there is no such row.
    """

    def statistic(blocks: list[Array]) -> Array:
        shares = [_share_above(b[..., 0, :], b[..., 1, :]) for b in blocks]
        return np.asarray(np.mean(shares, axis=0), dtype=np.float64)[..., None]

    blocks = [block[[first, second]] for block in _blocks(scores)]
    if not blocks:
        return _nothing(blocks)
    known = np.asarray(_known(blocks).all(keepdims=True))
    return _aggregates(blocks, statistic, known, confidence, draws, seed)[0]


def _share_above(a: Array, b: Array) -> Array:
    difference = np.sign(a[..., :, None] - b[..., None, :])
    return np.asarray((difference.mean(axis=(-2, -1)) + 1) / 2)


def _blocks(scores: Scores) -> list[Array]:
    # By name, so that the order of the mapping changes no draw.
    blocks = [np.asarray(scores[name], dtype=np.float64) for name in sorted(scores)]
    shapes = [block.shape for block in blocks]
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"scores are (methods, seeds) with the same methods, not {shapes}")
    return blocks


def _known(blocks: list[Array]) -> NDArray[np.bool_]:
    if not blocks:
        return np.ones(0, dtype=bool)
    rows = [np.isfinite(block).all(axis=1) & (block.shape[1] > 0) for block in blocks]
    return np.asarray(np.all(rows, axis=0))


def _nothing(blocks: list[Array]) -> Aggregate:
    seeds = min((block.shape[1] for block in blocks), default=0)
    return Aggregate(math.nan, -math.inf, math.inf, len(blocks), seeds)


def _aggregates(
    blocks: list[Array],
    statistic: Callable[[list[Array]], Array],
    known: NDArray[np.bool_],
    confidence: float,
    draws: int,
    seed: int,
) -> tuple[Aggregate, ...]:
    if not 0 < confidence < 1 or draws < 1:
        raise ValueError(f"confidence in (0, 1) and draws from 1, not {confidence} and {draws}")
    if not known.any():
        return (_nothing(blocks),) * known.size
    # What is unknown is masked by ``known``; a number in its place keeps the rest computable.
    blocks = [np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0) for block in blocks]
    values = statistic(blocks)
    seeds = min(block.shape[1] for block in blocks)
    low, high = np.full_like(values, -np.inf), np.full_like(values, np.inf)
    if seeds > 1:
        rng = np.random.default_rng(seed)
        replicates = statistic([_resampled(block, draws, rng) for block in blocks])
        tail = (1 - confidence) / 2
        low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return tuple(
        Aggregate(float(v), float(a), float(b), len(blocks), seeds) if ok else _nothing(blocks)
        for v, a, b, ok in zip(values, low, high, known, strict=True)
    )


def _resampled(block: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return ``(draws, methods, seeds)``: seeds with replacement, the same for all methods."""
    seeds = rng.integers(0, block.shape[1], (draws, block.shape[1]))
    return np.moveaxis(block[:, seeds], 0, 1)
