"""What every test here needs of a sample: its size, mean and spread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Two numbers nearer than this, relative to their size, differ by rounding alone: the difference of
# two accuracies of a hundred thousand images is still known to about 1e-11 of itself.
ROUNDING = 1e-11


@dataclass(frozen=True)
class Sample:
    """The sufficient statistics of a sample for Student's t.

    Attributes
    ----------
    n
        How many values there are, finite or not.
    mean
        Arithmetic mean; NaN where n = 0, a value is not finite, or the spread overflows.
    sd
        Sample standard deviation (``ddof=1``); 0 where the values are equal up to rounding, NaN
        where n < 2 or the mean is NaN.
    """

    n: int
    mean: float
    sd: float

    @property
    def squared_error(self) -> float:
        """Squared standard error of the mean."""
        return self.sd * self.sd / self.n

    @property
    def broken(self) -> bool:
        """Whether there are values, but one of them is not a usable number."""
        return self.n > 0 and math.isnan(self.mean)


def vector(values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as a float64 vector ``(n,)``; raise ValueError for any other shape."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"values are one-dimensional, not of shape {x.shape}")
    return x


def sample(values: ArrayLike) -> Sample:
    """Summarise ``(n,)`` values; nothing is left out.

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional.
    """
    x = vector(values)
    if x.size == 0 or not np.isfinite(x).all():
        return Sample(x.size, math.nan, math.nan)
    if x.size == 1:
        return Sample(1, float(x[0]), math.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        if x.max() - x.min() <= ROUNDING * np.abs(x).max():
            return Sample(x.size, float(x[0]), 0.0)
        mean, sd = float(x.mean()), float(x.std(ddof=1))
    if not math.isfinite(mean) or not math.isfinite(sd):
        return Sample(x.size, math.nan, math.nan)
    return Sample(x.size, mean, sd)


def total(terms: Iterable[float]) -> float:
    """Return the sum of terms; exactly 0 where they cancel up to rounding.

    The remainder of a rounded sum has a sign, and the same one at every seed would look certain.
    """
    own = list(terms)
    found = math.fsum(own)
    largest = max(map(abs, own), default=0.0)
    return 0.0 if abs(found) <= ROUNDING * largest else found


def excess(values: ArrayLike, margin: float) -> NDArray[np.float64]:
    """Return ``values − margin``, where what is at the margin up to rounding is exactly 0."""
    x = vector(values)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(np.abs(x - margin) <= ROUNDING * np.abs(x), 0.0, x - margin)


def welch(a: Sample, b: Sample) -> tuple[float, float]:
    """Return the standard error of ``a.mean − b.mean`` and its degrees of freedom (Satterthwaite).

    Both need n ≥ 2. Where neither varies, the error is 0 and the degrees of freedom are infinite.
    """
    first, second = a.squared_error, b.squared_error
    error = math.sqrt(first + second)
    if error == 0:
        return 0.0, math.inf
    # Shares instead of squares, which would underflow.
    share = first / (first + second)
    return error, 1 / (share**2 / (a.n - 1) + (1 - share) ** 2 / (b.n - 1))
