"""Where one curve first reaches a value, and what another one is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.records.record import Curve

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
