"""The exact sign-flip test of paired differences, which assumes symmetry and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.sample import ROUNDING, vector

Alternative = Literal["two-sided", "greater", "less"]

ENUMERATED = 30  # Two halves of 2^15 patterns take milliseconds.


@dataclass(frozen=True)
class SignFlip:
    """The outcome of a sign-flip test.

    Attributes
    ----------
    p
        p of "the differences are symmetric about zero".
    smallest
        The smallest p that could come out at this n, whatever the differences are: where it is
        above the level, n cannot decide.
    exact
        Whether all sign patterns were counted.
    n
        How many differences.
    """

    p: float
    smallest: float
    exact: bool
    n: int


def sign_flip(
    differences: ArrayLike,
    alternative: Alternative = "two-sided",
    draws: int = 99_999,
    seed: int = 0,
) -> SignFlip:
    """Test whether paired differences are symmetric about zero, by their mean.

    Under that hypothesis each sign was as likely the other one, so p is the share of the 2^n sign
    patterns whose mean is at least as far out. All are counted for n ≤ 30; above, ``draws`` are
    drawn and ``p = (1 + hits) / (1 + draws)``, which keeps its level (Phipson and Smyth 2010).

    Parameters
    ----------
    differences
        ``(n,)``, one a pair. With n = 0 p is 1; zeros count as ties and make p larger; a value
        that is not finite makes p NaN.
    alternative
        ``greater``: small p where the differences are above zero.
    draws, seed
        Of the sampled test; the same seed gives the same p.

    Raises
    ------
    ValueError
        If ``differences`` is not one-dimensional, ``alternative`` is unknown or ``draws`` < 1.
    """
    x = vector(differences)
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative is two-sided, greater or less, not {alternative!r}")
    if draws < 1:
        raise ValueError(f"draws are at least 1, not {draws}")
    exact = x.size <= ENUMERATED
    smallest = min(1.0, (2 if alternative == "two-sided" else 1) / 2**x.size)
    if not exact:
        smallest = 1 / (1 + draws)
    if not np.isfinite(x).all():
        return SignFlip(math.nan, smallest, exact, x.size)
    if exact:
        p = _counted_hits(x, alternative) / 2**x.size
    else:
        p = (1 + _sampled_hits(x, alternative, draws, seed)) / (1 + draws)
    return SignFlip(p, smallest, exact, x.size)


def _counted_hits(x: NDArray[np.float64], alternative: Alternative) -> int:
    """Return in how many of all patterns the sum is at least as far out."""
    x, bound = _bounded(x, alternative)
    if alternative == "two-sided" and bound <= 0:
        return int(2**x.size)
    # Every pattern is one of the first half beside one of the second.
    half = x.size // 2
    first, second = _patterns(half) @ x[:half], _patterns(x.size - half) @ x[half:]
    second.sort()
    hits = int((second.size - np.searchsorted(second, bound - first)).sum())
    return 2 * hits if alternative == "two-sided" else hits


def _sampled_hits(x: NDArray[np.float64], alternative: Alternative, draws: int, seed: int) -> int:
    x, bound = _bounded(x, alternative)
    rng, hits, block = np.random.default_rng(seed), 0, max(1, 2**20 // x.size)
    for start in range(0, draws, block):
        shape = (min(block, draws - start), x.size)
        sums = np.where(rng.integers(0, 2, shape) == 1, 1.0, -1.0) @ x
        hits += int(((np.abs(sums) if alternative == "two-sided" else sums) >= bound).sum())
    return hits


def _bounded(x: NDArray[np.float64], alternative: Alternative) -> tuple[NDArray[np.float64], float]:
    """Return the values, turned to the side that is asked and scaled, and what counts as a hit."""
    scale = float(np.abs(x).max(initial=0.0))
    # Scaled, so that the sums cannot overflow.
    x = x / scale if scale > 0 else x
    x = -x if alternative == "less" else x
    observed = float(x.sum())
    # Patterns that tie with the observed one may differ from it by the order of their sum.
    bound = (abs(observed) if alternative == "two-sided" else observed) - ROUNDING * x.size
    return x, bound


@lru_cache(maxsize=ENUMERATED // 2 + 1)
def _patterns(n: int) -> NDArray[np.float64]:
    """Return all ``(2^n, n)`` patterns of ±1."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    signs = np.where(bits == 1, 1.0, -1.0)
    signs.setflags(write=False)
    return signs
