"""Sequential p-values: what looks say at every level at once.

Looks decide at their own level. A family of comparisons (Holm's correction) asks at several, and
a reader wants a p-value. The sequential p-value is the smallest level at which the same looks and
the same spending would have decided by now (Liu and Anderson 2008): whenever one looks, it is at
most α with a probability of at most α.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.sample import vector
from bench.stats.sequential.looks import Looks, Spending, levels
from bench.stats.sides import FIXED, Sides
from bench.stats.ttests import OneSided

# Between these levels the share that a look has of a level is interpolated, to 0.3% of itself.
_ALPHAS = (
    *np.geomspace(1e-8, 1e-3, 8),
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    0.8,
    0.98,
)


def sequential_sides(values: ArrayLike, looks: Looks, margin: float = 0.0) -> Sides:
    """Return the one-sided sequential p-values of an expected value against a margin.

    Parameters
    ----------
    values
        ``(n,)`` in the order of their seeds. Values between looks do not count, and a look with a
        value that is not finite, and all later ones, are not made.
    looks
        When, and how the level is spent; the level itself does not matter. What flipping signs
        adds to t at a look can only keep it from deciding.

    Returns
    -------
    Sides
        The side of the strongest look has half the two-sided p-value, the other one minus that.
        ``n`` is that look; 0, with both 1, before the first.
    """
    x = vector(values)
    broken = np.flatnonzero(~np.isfinite(x))
    usable = int(broken[0]) if broken.size else x.size
    made = [FIXED.sides(x[:n], margin) for n in looks.at if n <= usable]
    t, flips, both = ([getattr(at, name) for at in made] for name in ("t", "flips", "both"))
    return Sides(_strongest(t, looks), _strongest(flips, looks), _strongest(both, looks))


def _strongest(tests: Sequence[OneSided], looks: Looks) -> OneSided:
    found = OneSided(1.0, 1.0, 0)
    for index, test in enumerate(tests):
        p = level_that_decides(looks, index, test.p_two_sided)
        if found.n == 0 or p < found.p_two_sided:
            sides = (p / 2, 1 - p / 2)
            greater = test.p_greater <= test.p_less
            found = OneSided(*(sides if greater else sides[::-1]), test.n)
    return found


def level_that_decides(looks: Looks, index: int, p: float) -> float:
    """Return the smallest level at which a look with this two-sided p-value would decide."""
    alphas, nominal_levels = _logarithms(looks.at, looks.spending)
    own = nominal_levels[index]
    log_p = math.log(p) if p > 0 else -math.inf
    if log_p > own[-1]:
        return 1.0
    # Below the smallest level of the table, that level.
    return math.exp(float(np.interp(log_p, own, alphas)))


@lru_cache(maxsize=1024)
def level_of_last_look(looks: Looks, alpha: float) -> float:
    """Return the nominal two-sided level of the last look, were ``alpha`` the whole level."""
    alphas, nominal_levels = _logarithms(looks.at, looks.spending)
    return math.exp(float(np.interp(math.log(alpha), alphas, nominal_levels[-1])))


@lru_cache(maxsize=16)
def _logarithms(
    at: tuple[int, ...], spending: Spending
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logarithms of levels ``(m,)`` and of each look's nominal ones, ``(looks, m)``."""
    rows = [levels(Looks(at, float(alpha), spending)) for alpha in _ALPHAS]
    # Spending that leaves a look nothing leaves it what no p-value is below.
    return np.log(_ALPHAS), np.log(np.maximum(np.array(rows).T, 1e-300))
