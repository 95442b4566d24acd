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

    Paired differences go in as ``a − b``. With n < 2 both p-values are 1. Where all values are
    equal up to rounding their spread is not known to be zero, and t says nothing: p is then the
    smallest that flipping signs could give, 2⁻ⁿ, on their side of the margin and 1 on the other,
    and 1 on both at the margin itself. A value that is not finite makes both NaN.

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional.
    """
    x = sample(values)
    if x.broken or x.n < 2:
        return _undecided(x)
    return tails(x.mean, margin, math.sqrt(x.squared_error), x.n - 1, x.n, 2.0**-x.n)


def one_sided_welch(a: ArrayLike, b: ArrayLike, margin: float = 0.0) -> OneSided:
    """Test ``E[a] − E[b]`` of two independent samples against a margin by Welch's t.

    The shapes are ``(n_a,)`` and ``(n_b,)``; the edge cases are those of ``one_sided``, with
    n < 2 in either sample. Where neither varies, p is the smallest that exchanging the values of
    the two could give: one of all ways to choose a's among them.

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
    least = exchange_p(first.n, second.n)
    return tails(first.mean, second.mean + margin, error, df, smaller.n, least)


def exchange_p(first: int, second: int) -> float:
    """Return the smallest one-sided p of a permutation test of two samples of these sizes."""
    return 1 / math.comb(first + second, first)


def tails(
    value: float, bound: float, error: float, df: float, n: int, without_spread: float
) -> OneSided:
    """Return the tails of ``(value − bound) / error`` under Student's t with ``df``.

    With an error of 0 the side of ``value`` has the p ``without_spread``, and none has where the
    two agree up to rounding.
    """
    if error > 0:
        t = (value - bound) / error
        return OneSided(float(stdtr(df, -t)), float(stdtr(df, t)), n)
    if math.isclose(value, bound, rel_tol=ROUNDING):
        return OneSided(1.0, 1.0, n)
    above = value > bound
    return OneSided(without_spread, 1.0, n) if above else OneSided(1.0, without_spread, n)


def outside(above_low: OneSided, above_high: OneSided) -> float:
    """Return p of "the expected value is within [low, high]" from its tests against both ends.

    The tail beyond the nearer end and that beyond the farther one: at an end the test exceeds
    either with at most their sum. It is the two-sided p where the ends meet, and the one-sided p
    where they are many standard errors apart; the nearer tail alone would err twice as often as
    it says in the first case.

    Parameters
    ----------
    above_low, above_high
        The tests against the lower and the upper end.
    """
    beyond = above_high.p_greater + above_low.p_greater
    below = above_low.p_less + above_high.p_less
    return min(1.0, beyond, below)


def _undecided(x: Sample) -> OneSided:
    p = math.nan if x.broken else 1.0
    return OneSided(p, p, x.n)
