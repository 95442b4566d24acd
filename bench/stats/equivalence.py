"""Whether our mean agrees with a reported one: two one-sided t tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy.special import stdtrit

from bench.stats.sample import Sample, sample, welch
from bench.stats.ttests import exchange_p, outside, tails


@dataclass(frozen=True)
class Equivalence:
    """How our mean stands to a reported one.

    Attributes
    ----------
    difference
        Our mean minus the reported one.
    low, high
        The ``1 − 2·alpha`` interval of the difference of expected values (90% at 5%): the one
        that lies inside ±tolerance exactly where the test calls the two equivalent. The whole
        line where nothing varies: a spread of zero is not known to be zero.
    p
        p of "the expected values differ by the tolerance or more": small where they agree.
    p_different
        p of "they differ by at most the tolerance": small where they certainly disagree. With a
        tolerance of 0 it is that of the two-sided t test.
    equivalent, different
        Whether ``p``, ``p_different`` is at most ``alpha``; neither where the seeds cannot tell.
    tolerance
        As given.
    uses_reported_spread
        Whether the reported mean's own uncertainty is in the test. If not, the reported mean is
        taken as exact, which makes both verdicts easier to reach.
    n
        How many values of ours.
    """

    difference: float
    low: float
    high: float
    p: float
    p_different: float
    equivalent: bool
    different: bool
    tolerance: float
    uses_reported_spread: bool
    n: int


def equivalent(
    values: ArrayLike,
    reported: float,
    tolerance: float,
    *,
    reported_sd: float | None = None,
    reported_n: int | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Test whether our expected value is within ±tolerance of a reported mean (TOST).

    Parameters
    ----------
    values
        ``(n,)``, ours. With n < 2 both p-values are 1 and the interval is the whole line; where
        nothing varies, p-values are those of ``ttests.tails``, 2⁻ⁿ at best; a value (or reported
        mean) that is not finite makes p NaN and no verdict.
    reported
        The reported mean, in the unit of the values.
    tolerance
        Largest difference that does not matter, in the same unit.
    reported_sd, reported_n
        Standard deviation (``ddof=1``) and number of the reported runs. With both, and n ≥ 2,
        the test is Welch's; otherwise the reported mean is taken as exact.
    alpha
        Level of each verdict, in (0, 0.5).

    Raises
    ------
    ValueError
        If ``values`` is not one-dimensional, ``tolerance`` or ``reported_sd`` is negative or not
        finite, or ``alpha`` is not in (0, 0.5).
    """
    _check(tolerance, reported_sd, alpha)
    ours = sample(values)
    theirs = _reported(reported, reported_sd, reported_n)
    spread = theirs is not None
    difference = ours.mean - reported
    if not math.isfinite(difference) or ours.n < 2:
        p = math.nan if ours.broken or not math.isfinite(reported) else 1.0
        whole = (-math.inf, math.inf)
        return Equivalence(difference, *whole, p, p, False, False, tolerance, spread, ours.n)
    if theirs is None:
        error, df, least = math.sqrt(ours.squared_error), float(ours.n - 1), 2.0**-ours.n
    else:
        error, df = welch(ours, theirs)
        least = exchange_p(ours.n, theirs.n)
    above_low = tails(ours.mean, reported - tolerance, error, df, ours.n, least)
    above_high = tails(ours.mean, reported + tolerance, error, df, ours.n, least)
    p = max(above_low.p_greater, above_high.p_less)
    p_different = outside(above_low, above_high)
    half = -float(stdtrit(df, alpha)) * error if error > 0 else math.inf
    return Equivalence(
        difference,
        difference - half,
        difference + half,
        p,
        p_different,
        p <= alpha,
        p_different <= alpha,
        tolerance,
        spread,
        ours.n,
    )


def _check(tolerance: float, reported_sd: float | None, alpha: float) -> None:
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance is finite and not negative, not {tolerance}")
    if reported_sd is not None and not 0 <= reported_sd < math.inf:
        raise ValueError(f"reported_sd is finite and not negative, not {reported_sd}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is in (0, 0.5), not {alpha}")


def _reported(mean: float, sd: float | None, n: int | None) -> Sample | None:
    if sd is None or n is None or n < 2:
        return None
    return Sample(n, mean, sd)
