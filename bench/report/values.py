"""What one record says: of a metric, recorded or derived, of a curve, or of what is taken of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bench.records.record import Curve, Record
from bench.report.crossing import Undefined, fitted_value, value_where
from bench.spec.claims import At
from bench.spec.metrics import Metric, Metrics, complement_of, difference_of
from bench.spec.parts import built_in_parts, declared_as
from bench.spec.suite import ShownMetric

# Stands in a measurement's names for whatever its objective scores.
_SCORES = "{scores}"


def metric_unit(metric: str) -> str:
    """Return the unit that a built-in part declares for a metric; for numbers without a plan.

    >>> [metric_unit(m) for m in ("test/top1_error", "cascade/saving", "features/distance")]
    ['%', '%', '']
    """
    whole = complement_of(metric) or metric
    # A measurement's names are whole, but for an objective's scores in them; an objective's stand
    # behind a task's and a split's.
    for kind, name in (("measurement", whole), ("objective", whole.rpartition("/")[2])):
        for part in built_in_parts().values():
            declared = declared_as(name, part.metrics) if part.kind == kind else None
            if declared is not None and _SCORES not in declared:
                return str(part.metrics[declared][0])
    return ""


def unit_scale(unit: str) -> float:
    """Return what a record's value is multiplied by to be shown: fractions become percent."""
    return Metric("", unit).scale


def metric_value(metrics: Mapping[str, float], name: str) -> float | None:
    """Return a record's metric, recorded or derived; None where it has neither.

    >>> metric_value({"test/top1": 0.75}, "test/top1_error")
    0.25
    >>> metric_value({"a/test/top1": 0.75, "b/test/top1": 0.5}, "a/test/top1 - b/test/top1")
    0.25
    """
    if name in metrics:
        return metrics[name]
    difference = difference_of(name)
    if difference is not None:
        first, second = (metric_value(metrics, each) for each in difference)
        return None if first is None or second is None else first - second
    base = complement_of(name)
    return 1.0 - metrics[base] if base is not None and base in metrics else None


def curve_of(record: Record, name: str) -> Curve | None:
    """Return a record's curve, recorded or derived (``…/top1_error``); None where it has none."""
    curves = record.outcome.curves
    if name in curves:
        return curves[name]
    base = complement_of(name)
    if base is None or base not in curves:
        return None
    curve = curves[base]
    return replace(curve, value=tuple(1.0 - value for value in curve.value))


def record_value(record: Record, shown: ShownMetric, curves: Metrics) -> float | Undefined | None:
    """Return what a record says of a metric, or of a curve; None where it says nothing.

    Parameters
    ----------
    curves
        What the plan's curves are: of that which reaches a value, unit and better side.
    """
    at = shown.at
    if at is None:
        return metric_value(record.outcome.metrics, shown.metric)
    curve = curve_of(record, shown.metric)
    if curve is None or at.curve is None:
        return None if curve is None else curve_value(curve, at)
    other, declared = curve_of(record, at.curve), curves.get(at.curve)
    if other is None or declared is None:
        return None
    if at.fitted is not None:
        mine = curves.get(shown.metric)
        traded = mine is None or mine.best == declared.best
        return fitted_value(curve, other, at.fitted / declared.scale, falling=traded)
    assert at.reaches is not None
    rising = declared.best == "highest"
    return value_where(curve, other, at.reaches / declared.scale, rising=rising)


def curve_value(curve: Curve, at: At) -> float | None:
    """Return a curve's value at a step or at its end, or its mean over the steps of a range.

    Between two points a curve has the value of the first of them, as a state that stays deployed
    until the next one. None where it begins only later.
    """
    if at.step == "end":
        return curve.value[-1] if curve.value else None
    first = at.last_step if at.area is None else at.area[0]
    index = bisect_right(curve.at, first) - 1
    if index < 0:
        return None
    if at.area is None:
        return curve.value[index]
    steps = np.arange(at.area[0], at.area[1] + 1)
    values = np.asarray(curve.value)[np.searchsorted(curve.at, steps, side="right") - 1]
    weights = 1.0 / (steps + 1) if at.scale == "log" else np.ones(len(steps))
    return float(np.average(values, weights=weights))
