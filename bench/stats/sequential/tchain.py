"""The joint distribution of a sample's t statistics as it grows, for normal data: a Markov chain.

Write R = t / √(n − 1 + t²) for the t statistic of n draws: the cosine of the angle between the data
and the diagonal. Under the null hypothesis the direction of the data is uniform and independent of
its length, so one more draw moves R by

    R' = (√n · R · sin θ + cos θ) / √(n + 1),   density of θ on (0, π) proportional to sinⁿ⁻¹ θ,

with θ independent of all earlier R. Two-sided rules need |R| only, and this module follows its
distribution on a grid. The idea of exact sequential t tests is Jennison and Turnbull's (1991).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr, ndtri, stdtrit

Vector = NDArray[np.float64]

_CELLS = 200  # of |R|, evenly spaced in normal quantiles: levels to 0.5% of themselves
_ANGLES = 2**14
_FAR = 7.0  # normal quantile beyond which 3e-12 of the distribution is left out
_SMALLEST_SHARE = 1e-9  # finer than the grid resolves


class TChain:
    """|R| of a growing sample under the null, without what the looks so far have stopped.

    Parameters
    ----------
    n
        Draws at the first look, at least 2.
    level
        Nominal two-sided level of the t test there, which is also what it uses up.
    """

    def __init__(self, n: int, level: float) -> None:
        edges = _grid(level)
        self._n = n
        self._mass: Vector = np.diff(-2 * ndtr(-edges))
        self._at = _cosine(_within(edges), n)

    def look(self, n: int, share: float) -> float:
        """Go on to a look at ``n`` draws that stops with probability ``share``, stop, and go on.

        Returns
        -------
        float
            Nominal two-sided level of the t test at this look. A share too small for the grid is
            itself the level, which can only use up less than the share.
        """
        from scipy.optimize import brentq

        while self._n < n - 1:
            self._step(0.0)
        level = share
        if share >= _SMALLEST_SHARE:
            z = brentq(lambda z: self._stopped(float(z)) - share, 0.0, _FAR, xtol=1e-10)
            level = 2 * float(ndtr(-z))
        self._step(level)
        return level

    def _step(self, level: float) -> None:
        edges = _grid(level)
        self._mass = self._mass @ -np.diff(self._beyond(edges), axis=1)
        self._n += 1
        self._at = _cosine(_within(edges), self._n)

    def _stopped(self, z: float) -> float:
        return float(self._mass @ self._beyond(np.array([z]))[:, 0])

    def _beyond(self, z: Vector) -> Vector:
        """Return ``(cells, z)``: probability that one more draw puts |R| beyond each quantile."""
        n = self._n
        length = np.sqrt((1 + n * self._at**2) / (n + 1))[:, None]
        tilt = np.arctan(np.sqrt(n) * self._at)[:, None]
        # R' = length · cos(θ − tilt): it exceeds a cosine for θ within ``reach`` of the tilt, and,
        # for the lower side, of −tilt.
        reach = np.arccos(np.minimum(_cosine(z, n + 1) / length, 1.0))
        upper = _angle_below(tilt + reach, n) - _angle_below(tilt - reach, n)
        return np.asarray(upper + _angle_below(reach - tilt, n))


def _grid(level: float) -> Vector:
    far = min(-float(ndtri(level / 2)), _FAR)
    return np.linspace(0.0, far, _CELLS + 1)


def _within(edges: Vector) -> Vector:
    """Return the points that stand for the cells."""
    # Midpoints have a variance too large by h²/12 (Sheppard), once more at every draw.
    middle = (edges[1:] + edges[:-1]) / 2
    return np.asarray(middle * (1 - (edges[1] - edges[0]) ** 2 / 24))


def _cosine(z: Vector, n: int) -> Vector:
    """Return the R of n draws that is exceeded as often as the normal quantile z ≥ 0."""
    t = -stdtrit(n - 1, ndtr(-z))
    return np.asarray(t / np.sqrt(n - 1 + t**2))


def _angle_below(theta: Vector, n: int) -> Vector:
    """Return the distribution function of θ, whose density on (0, π) goes as sinⁿ⁻¹ θ."""
    return np.asarray(np.interp(theta, *_angles(n)))


@lru_cache(maxsize=256)
def _angles(n: int) -> tuple[Vector, Vector]:
    # A table is ten times as fast as the incomplete beta function; levels differ by 1e-7 of
    # themselves.
    theta = np.linspace(0.0, np.pi, _ANGLES + 1)
    half = betainc(n / 2, 0.5, np.sin(theta) ** 2) / 2
    return theta, np.where(theta <= np.pi / 2, half, 1 - half)
