"""Student's t tests on which side of a margin an expected value lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy.special import stdtr

from bench.stats.sample import ROUNDING, Sample, sample, welch


@dataclass(frozen=True)
class OneSided:
    """Both one-sided p-values of one comparison.

    Attributes
    ----------
    p_greater
        p of "not above the margin": small where the expected value is above it.
    p_less
        p of "not below the margin": small where the expected value is below it.
    n
        How many values; of two samples, the smaller size.
    """

    p_greater: float
    p_less: float
    n: int

    @property
    def p_two_sided(self) -> float:
        """p of "equal to the margin": twice the smaller one, at most 1; NaN if they are."""
        if math.isnan(self.p_greater):
            return math.nan
        return min(1.0, 2 * min(self.p_greater, self.p_less))


def one_sided(values: ArrayLike, margin: float = 0.0) -> OneSided:
    """Test the expected value of ``(n,)`` values against a margin by Student's t.

    Paired differences go in as ``a − b``. With n < 2 both p-values are 1; values that are equal
    up to rounding give 0 on their side of the margin and 1 on the other, and 1 on both at the
    margin itself; a value that is not finite makes both NaN.

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional.
    """
    x = sample(values)
    if x.broken or x.n < 2:
        return _undecided(x)
    return tails(x.mean, margin, math.sqrt(x.squared_error), x.n - 1, x.n)


def one_sided_welch(a: ArrayLike, b: ArrayLike, margin: float = 0.0) -> OneSided:
    """Test ``E[a] − E[b]`` of two independent samples against a margin by Welch's t.

    The shapes are ``(n_a,)`` and ``(n_b,)``; the edge cases are those of ``one_sided``, with
    n < 2 in either sample, and no spread in both.

    Raises
    ------
    ValueError
        If either is not one-dimensional.
    """
    first, second = sample(a), sample(b)
    smaller = min(first, second, key=lambda s: s.n)
    if first.broken or second.broken:
        return OneSided(math.nan, math.nan, smaller.n)
    if smaller.n < 2:
        return _undecided(smaller)
    error, df = welch(first, second)
    return tails(first.mean, second.mean + margin, error, df, smaller.n)


def tails(value: float, bound: float, error: float, df: float, n: int) -> OneSided:
    """Return the tails of ``(value − bound) / error`` under Student's t with ``df``.

    With an error of 0 the side of ``value`` decides, and nothing does where the two agree up to
    rounding.
    """
    if error > 0:
        t = (value - bound) / error
        return OneSided(float(stdtr(df, -t)), float(stdtr(df, t)), n)
    if math.isclose(value, bound, rel_tol=ROUNDING):
        return OneSided(1.0, 1.0, n)
    return OneSided(0.0, 1.0, n) if value > bound else OneSided(1.0, 0.0, n)


def _undecided(x: Sample) -> OneSided:
    p = math.nan if x.broken else 1.0
    return OneSided(p, p, x.n)
