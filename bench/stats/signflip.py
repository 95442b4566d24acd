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

ENUMERATED = 15  # 2^15 sign patterns take milliseconds; each further one doubles them.


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
    patterns whose mean is at least as far out. All are counted for n ≤ 15; above, ``draws`` are
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
        p = float(_hits(_patterns(x.size), x, alternative).mean())
    else:
        p = (1 + _sampled_hits(x, alternative, draws, seed)) / (1 + draws)
    return SignFlip(p, smallest, exact, x.size)


def _hits(
    signs: NDArray[np.float64], x: NDArray[np.float64], alternative: Alternative
) -> NDArray[np.bool_]:
    scale = float(np.abs(x).max(initial=0.0))
    # Scaled, so that the sums cannot overflow.
    x = x / scale if scale > 0 else x
    sums, observed = signs @ x, float(x.sum())
    if alternative == "two-sided":
        sums, observed = np.abs(sums), abs(observed)
    elif alternative == "less":
        sums, observed = -sums, -observed
    # Patterns that tie with the observed one may differ from it by the order of their sum.
    return np.asarray(sums >= observed - ROUNDING * x.size)


def _sampled_hits(x: NDArray[np.float64], alternative: Alternative, draws: int, seed: int) -> int:
    rng, hits, block = np.random.default_rng(seed), 0, max(1, 2**20 // x.size)
    for start in range(0, draws, block):
        shape = (min(block, draws - start), x.size)
        signs = np.where(rng.integers(0, 2, shape) == 1, 1.0, -1.0)
        hits += int(_hits(signs, x, alternative).sum())
    return hits


@lru_cache(maxsize=ENUMERATED + 1)
def _patterns(n: int) -> NDArray[np.float64]:
    """Return all ``(2^n, n)`` patterns of ±1."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    signs = np.where(bits == 1, 1.0, -1.0)
    signs.setflags(write=False)
    return signs
