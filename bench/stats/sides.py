"""How one sample speaks of its expected value: on which side of a margin it lies.

Student's t keeps its level for normal values and the sign-flip test for symmetric ones; of skewed
values both err more often than they say. A verdict needs both: the p-value of a comparison is the
larger one, from the fewest values on at which flipping signs can reach a verdict's level at all.
Before that t speaks alone. Holm's correction is made with that p-value; beside many comparisons it
may then take more values to refute than these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.stats.intervals import Estimate, mean_interval
from bench.stats.sample import excess
from bench.stats.signflip import sign_flip
from bench.stats.ttests import OneSided, one_sided

ALPHA = 0.025
# With n values the smallest one-sided p of flipping signs is 2⁻ⁿ: at most 2.5% from six on.
FLIPS_FROM = math.ceil(-math.log2(ALPHA))
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """One-sided p-values of a sample against a margin.

    Attributes
    ----------
    t, flips
        By Student's t alone and by flipping signs alone.
    both
        By the larger of the two, or t's where flips cannot reach a verdict's level.
    """

    t: OneSided
    flips: OneSided
    both: OneSided


class Rule(Protocol):
    """How a sample is tested."""

    def sides(self, x: Values, margin: float) -> Sides:
        """Return the one-sided p-values against a margin."""

    def estimate(self, x: Values) -> Estimate:
        """Return the mean with the interval that goes with the t test."""


class FixedSample:
    """The tests for a number of seeds that did not depend on their values."""

    def sides(self, x: Values, margin: float) -> Sides:
        """Return the p-values; all 1 where a value is not finite."""
        if not np.isfinite(x).all():
            nothing = OneSided(1.0, 1.0, x.size)
            return Sides(nothing, nothing, nothing)
        above = excess(x, margin)
        t = one_sided(x, margin)
        flips = OneSided(sign_flip(above, "greater").p, sign_flip(above, "less").p, x.size)
        return Sides(t, flips, _larger(t, flips) if x.size >= FLIPS_FROM else t)

    def estimate(self, x: Values) -> Estimate:
        """Return the mean with its 95% interval."""
        return mean_interval(x)


FIXED = FixedSample()


def _larger(a: OneSided, b: OneSided) -> OneSided:
    return OneSided(max(a.p_greater, b.p_greater), max(a.p_less, b.p_less), a.n)
