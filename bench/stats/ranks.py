"""Ranks of several methods over several datasets: Friedman's test and Nemenyi's groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Ranking:
    """What the datasets together say of the order of the methods.

    Attributes
    ----------
    average_ranks
        One a method, in the order given; 1 is the best, ties share their mean rank. NaN where
        no dataset is complete.
    statistic, p
        Friedman's chi-square, corrected for ties, and its p of "all methods have the same
        distribution of ranks". 0 and 1 where nothing could be told: fewer than three methods,
        fewer than two complete datasets, or ties throughout.
    critical_difference
        Nemenyi's: average ranks this far apart or farther differ at ``alpha`` over all pairs;
        infinite where there is nothing to compare.
    groups
        The largest sets of methods (indices, best first) that are not told apart. Every method is
        in at least one; two methods are told apart if no group has both. All are in one
        group where Friedman's test does not reject.
    datasets
        How many complete datasets these are the ranks of.
    left_out
        How many datasets were left out because a score is missing (NaN) or not finite.
    """

    average_ranks: tuple[float, ...]
    statistic: float
    p: float
    critical_difference: float
    groups: tuple[tuple[int, ...], ...]
    datasets: int
    left_out: int


def friedman_nemenyi(
    scores: ArrayLike, *, highest_is_best: bool = True, alpha: float = 0.05
) -> Ranking:
    """Compare methods by their ranks on each dataset (Demsar 2006, section 3.2.2).

    The datasets are the sample here: the p-value is of methods on datasets like these, and the
    spread over seeds does not enter. The chi-square approximation is conservative for few datasets.

    Parameters
    ----------
    scores
        ``(datasets, methods)``, each entry a method's mean over seeds.
    highest_is_best
        False for errors and losses.
    alpha
        Level of Friedman's test and of all pairwise comparisons together, in (0, 1).

    Raises
    ------
    ValueError
        If ``scores`` is not two-dimensional or ``alpha`` is not in (0, 1).
    """
    from scipy.stats import rankdata

    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"scores are (datasets, methods), not of shape {x.shape}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is in (0, 1), not {alpha}")
    complete = x[np.isfinite(x).all(axis=1)]
    datasets, methods = complete.shape
    if datasets == 0 or methods == 0:
        averages = np.full(methods, np.nan)
    else:
        averages = rankdata(-complete if highest_is_best else complete, axis=1).mean(axis=0)
    statistic, p = _friedman(complete)
    difference = math.inf
    if datasets and methods > 1:
        difference = _nemenyi(methods, alpha) * math.sqrt(methods * (methods + 1) / (6 * datasets))
    groups = _groups(averages, difference if p <= alpha else math.inf)
    averaged = tuple(float(rank) for rank in averages)
    return Ranking(averaged, statistic, p, difference, groups, datasets, len(x) - datasets)


def _friedman(complete: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import friedmanchisquare

    datasets, methods = complete.shape
    tied = datasets < 2 or methods < 3 or bool((complete == complete[:, :1]).all())
    if tied:
        return 0.0, 1.0
    result = friedmanchisquare(*complete.T)
    return float(result.statistic), float(result.pvalue)


@lru_cache(maxsize=256)
def _nemenyi(methods: int, alpha: float) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)


def _groups(averages: NDArray[np.float64], difference: float) -> tuple[tuple[int, ...], ...]:
    order = [int(i) for i in np.argsort(averages, kind="stable")]
    if not math.isfinite(difference):
        return (tuple(order),) if order else ()
    groups: list[tuple[int, ...]] = []
    for start, first in enumerate(order):
        members = tuple(i for i in order[start:] if averages[i] - averages[first] < difference)
        if not groups or groups[-1][-1] != members[-1]:
            groups.append(members)
    return tuple(groups)
