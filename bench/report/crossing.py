"""What one curve is where another one has a value: where it first reaches it, or by a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records.record import Curve

Floats = NDArray[np.float64]
# One less an accuracy is rounded: what is written as 0.3 is not exact.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Undefined:
    """Why a record has no such number, although it has the curves."""

    why: str


def value_where(curve: Curve, other: Curve, value: float, *, rising: bool) -> float | Undefined:
    """Return what a curve is where another one first reaches a value.

    Between two points of the other both are taken as linear, so that the curve needs a point at
    the steps of both: then its value is that of the line from one state to the next, in the plane
    of both numbers, where that line meets the value. It does not depend on the steps themselves.

    Parameters
    ----------
    value
        In the unit in which the other curve is recorded.
    rising
        Whether the value is reached from below.

    Returns
    -------
    float or Undefined
        Undefined where the other curve never reaches the value; where it begins beyond it, since
        nothing says where it came from; and where the curve has no finite value at these steps.
    """
    points = sorted(dict(zip(other.at, other.value, strict=True)).items())
    side = 1.0 if rising else -1.0
    beyond = [(step, side * (reached - value)) for step, reached in points]
    first = next((i for i, (_, by) in enumerate(beyond) if by >= -_ROUNDING), None)
    if first is None:
        return Undefined("never reaches it")
    step, by = beyond[first]
    known = dict(zip(curve.at, curve.value, strict=True))
    if by <= _ROUNDING:
        found = known.get(step, math.nan)
    elif first == 0:
        return Undefined("begins beyond it")
    else:
        before, short = beyond[first - 1]
        start, end = known.get(before, math.nan), known.get(step, math.nan)
        found = start + (end - start) * -short / (by - short)
    return found if math.isfinite(found) else Undefined("lacks a point beside it")


def fitted_value(curve: Curve, other: Curve, value: float, *, falling: bool) -> float | Undefined:
    """Return what a curve is where another one has a value, by a monotone fit through all points.

    The points are those of the plane of both numbers, one at each step that both curves have. The
    fit is the least-squares one that never rises (or never falls) with the other number: isotonic
    regression (Barlow et al. 1972), linear between points. It supposes no more of the form of a
    trade-off than that more of the one leaves less of the other.

    Parameters
    ----------
    value
        In the unit in which the other curve is recorded.
    falling
        Whether the fit never rises.

    Returns
    -------
    float or Undefined
        Undefined outside the range of the other curve: nothing is extrapolated.
    """
    known = dict(zip(curve.at, curve.value, strict=True))
    points = [(x, known[at]) for at, x in zip(other.at, other.value, strict=True) if at in known]
    if not points:
        return Undefined("has no point in common")
    places, inverse = np.unique([x for x, _ in points], return_inverse=True)
    weights = np.bincount(inverse).astype(np.float64)
    means = np.bincount(inverse, weights=[y for _, y in points]) / weights
    if not places[0] - _ROUNDING <= value <= places[-1] + _ROUNDING:
        return Undefined("has no points on both sides of it")
    side = -1.0 if falling else 1.0
    fit = side * _never_falling(side * means, weights)
    found = float(np.interp(value, places, fit))
    return found if math.isfinite(found) else Undefined("is not finite everywhere")


def _never_falling(values: Floats, weights: Floats) -> Floats:
    """Return the weighted least-squares fit that never falls: neighbours that do are pooled."""
    blocks: list[tuple[float, float, int]] = []
    for mean, weight in zip(values.tolist(), weights.tolist(), strict=True):
        count = 1
        while blocks and blocks[-1][0] > mean:
            before, other, more = blocks.pop()
            mean = (before * other + mean * weight) / (other + weight)
            weight, count = weight + other, count + more
        blocks.append((mean, weight, count))
    return np.repeat([mean for mean, *_ in blocks], [count for *_, count in blocks])
