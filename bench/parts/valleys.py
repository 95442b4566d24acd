"""How far a module can go back, and how much noise it bears there: the least ratio of the two."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Passing = NDArray[np.bool_]
# Ratios that differ by rounding alone are one value.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Least:
    """The least ratio ``distance² / deviation²`` of the points of a grid that pass.

    Attributes
    ----------
    value
        The ratio.
    row, column
        Where it is: of several points the one of the lowest row, and there of the highest column.
    ties
        How many points have it. Of a ratio of zero those of the lowest row are counted.
    """

    value: float
    row: int
    column: int
    ties: int


def ratios(distances: Floats, deviations: Floats) -> Floats:
    """Return ``(rows, columns)`` of distance² / deviation²."""
    return np.square(distances[:, None] / deviations[None, :])


def bisected(distances: Floats, deviations: Floats, passes: Callable[[int, int], bool]) -> Passing:
    """Return which points pass, asking for few, where a row that fails once fails from there on.

    Points whose ratio is above the least one found so far are not asked for, and count as failing
    unless a higher deviation of their row passes: the least ratio, its place and its ties are
    those of the whole grid.

    Parameters
    ----------
    distances
        ``(rows,)``, of the points of a path from its start.
    deviations
        ``(columns,)``, rising.
    passes
        Of a row and a column; for each row true up to some column, and false behind it.
    """
    values = ratios(distances, deviations)
    passing = np.zeros(values.shape, dtype=np.bool_)
    best = np.inf
    for row in _order(distances):
        first = int((values[row] > best * (1 + _TOLERANCE)).sum())
        columns = range(first, len(deviations))
        count = bisect_left(columns, True, key=lambda column: not passes(row, column))
        if count:
            passing[row, : first + count] = True
            best = min(best, values[row, first + count - 1])
        if best == 0:
            break
    return passing


def _order(distances: Floats) -> list[int]:
    """Return the rows as they are best asked for.

    Nothing is below a ratio of zero. Then comes the far end of the path: it bears the most noise,
    and rules out much.
    """
    zero = distances == 0
    return [*np.flatnonzero(zero).tolist(), *np.flatnonzero(~zero)[::-1].tolist()]


def least(distances: Floats, deviations: Floats, passing: Passing) -> Least | None:
    """Return the least ratio of the points that pass; None if none does."""
    if not passing.any():
        return None
    values = np.where(passing, ratios(distances, deviations), np.inf)
    value = float(values.min())
    tied = values <= value * (1 + _TOLERANCE)
    row = int(tied.any(axis=1).argmax())
    if value == 0:
        tied[row + 1 :] = False
    return Least(value, row, int(np.flatnonzero(tied[row])[-1]), int(tied.sum()))
