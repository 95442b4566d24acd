"""Student's t intervals of a mean and of a difference, for the few seeds that are the rule.

At five seeds the percentile bootstrap's nominal 95% covers about 85%; Student's t keeps its level
for normal data at any n, which is why it is the only interval here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from bench.stats.sample import sample, vector, welch


@dataclass(frozen=True)
class Estimate:
    """A mean with the interval of the expected value it estimates.

    Attributes
    ----------
    mean
        Arithmetic mean, in the unit of the values; NaN where there is none.
    low, high
        Ends of the interval; the whole line (``-inf``, ``inf``) where nothing bounds it.
    half_width
        ``high - mean``; None where the interval is the whole line.
    n
        How many values the mean is of; of a difference of two samples, the smaller size.
    sd
        Sample standard deviation (``ddof=1``); NaN where n < 2.
    """

    mean: float
    low: float
    high: float
    half_width: float | None
    n: int
    sd: float

    @property
    def no_spread(self) -> bool:
        """Whether there are several values, and all are equal."""
        return self.sd == 0

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.half_width is not None and (self.low > 0 or self.high < 0)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Estimate a mean by Student's t with n − 1 degrees of freedom.

    Parameters
    ----------
    values
        ``(n,)``, one value a seed. With n = 0 the mean is NaN; with n < 2 the interval is the
        whole line, and so it is for values that are equal up to rounding, since a spread of zero
        is not known to be zero; a value that is not finite, or whose square is not, makes the
        mean NaN and the interval the whole line: it is never left out.
    confidence
        Level of the two-sided interval, in (0, 1).

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional or ``confidence`` is not in (0, 1).
    """
    x = sample(values)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is in (0, 1), not {confidence}")
    if x.n < 2 or not x.sd > 0:
        return Estimate(x.mean, -math.inf, math.inf, None, x.n, x.sd)
    half = _quantile(confidence, x.n - 1) * x.sd / math.sqrt(x.n)
    if not math.isfinite(x.mean + half):
        return Estimate(math.nan, -math.inf, math.inf, None, x.n, math.nan)
    return Estimate(x.mean, x.mean - half, x.mean + half, half, x.n, x.sd)


def paired_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Estimate the mean of ``a − b``, whose entries belong together (one pair a seed).

    Parameters
    ----------
    a, b
        ``(n,)`` each, in the same order of seeds. The interval is that of ``mean_interval`` of
        the differences, the counterpart of the paired t-test.

    Raises
    ------
    ValueError
        If the two have different lengths.
    """
    first, second = vector(a), vector(b)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal lengths, not {first.size} and {second.size}")
    with np.errstate(invalid="ignore", over="ignore"):
        return mean_interval(first - second, confidence)


def welch_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Estimate ``mean(a) − mean(b)`` of two independent samples by Welch's t.

    For values that share no seeds, as ours and another group's; ``paired_difference`` is narrower
    where they do. The estimand is the difference of the two expected values; the variances need
    not be equal.

    Parameters
    ----------
    a, b
        ``(n_a,)`` and ``(n_b,)``. With either empty the mean is NaN; with n < 2 in either the
        interval is the whole line, as it is where neither varies; a value that is not finite
        makes the mean NaN and the interval the whole line.

    Returns
    -------
    Estimate
        ``n`` is the smaller of the two sizes, ``sd`` the root of the summed variances: the
        standard deviation of the difference of one draw from each.

    Raises
    ------
    ValueError
        If either is not one-dimensional or ``confidence`` is not in (0, 1).
    """
    first, second = sample(a), sample(b)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is in (0, 1), not {confidence}")
    n, mean = min(first.n, second.n), first.mean - second.mean
    unknown = Estimate(math.nan, -math.inf, math.inf, None, n, math.nan)
    if not math.isfinite(mean):
        return unknown
    if n < 2:
        return Estimate(mean, -math.inf, math.inf, None, n, math.nan)
    error, df = welch(first, second)
    if error == 0:
        return Estimate(mean, -math.inf, math.inf, None, n, 0.0)
    half = _quantile(confidence, df) * error
    if not math.isfinite(mean + half):
        return unknown
    sd = math.hypot(first.sd, second.sd)
    return Estimate(mean, mean - half, mean + half, half, n, sd)


@lru_cache(maxsize=4096)
def _quantile(confidence: float, df: float) -> float:
    # scipy.special alone: scipy.stats takes half a second to import.
    return float(stdtrit(df, (1 + confidence) / 2))
