"""One number a cell, for a claim: a metric, a derived error, or what it takes of a curve."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping

import numpy as np

from bench.records.record import Curve, Record
from bench.report.aggregate import SEED, Entry, unit_scale
from bench.report.frame import State, cell_state, metric_value
from bench.spec.cell import Scalar
from bench.spec.claims import At, Claim
from bench.spec.expand import Plan
from bench.spec.metrics import complement_of
from bench.spec.suite import Measure, Table

FRACTIONS = ("top1", "top5", "mean_class_accuracy", "top1_error", "top5_error")


def measure_of(claim: Claim, table: Table) -> Measure:
    """Return what a claim compares and its unit; the table's where it does not say.

    A metric that the table does not show is in percent if it is a fraction of images.
    """
    metric = claim.metric or table.measures[0].metric
    shown = next((m for m in table.measures if m.metric == metric), None)
    if shown is None:
        unit = "%" if metric.rpartition("/")[2] in FRACTIONS else ""
        shown = Measure(metric=metric, unit=unit)
    return shown if claim.unit is None else shown.model_copy(update={"unit": claim.unit})


def measured(
    plan: Plan,
    records: Mapping[str, Record],
    states: Mapping[str, State],
    measure: Measure,
    at: At | None = None,
) -> list[Entry]:
    """Return one entry for each place of the plan, in its order.

    A record that has no such metric or curve, or a curve that begins later, gives no value.
    """
    values: dict[tuple[tuple[str, Scalar], ...], dict[Scalar, float]] = {}
    known: dict[tuple[tuple[str, Scalar], ...], Counter[str]] = {}
    scale = unit_scale(measure)
    for planned in plan.cells:
        if not planned.labels:
            continue
        place = tuple((a, v) for a, v in planned.labels.items() if a != SEED)
        own = values.setdefault(place, {})
        state = cell_state(planned.cell.id, records, states)
        known.setdefault(place, Counter())[state] += 1
        record = records.get(planned.cell.id)
        value = None if record is None else record_value(record, measure.metric, at)
        if value is not None:
            own[planned.labels.get(SEED, 0)] = scale * value
    return [Entry(dict(place), own, known[place], measure) for place, own in values.items()]


def record_value(record: Record, metric: str, at: At | None) -> float | None:
    """Return what a record says of a metric, or of a curve; None where it says nothing."""
    if at is None:
        return metric_value(record.outcome.metrics, metric)
    curves = record.outcome.curves
    if metric in curves:
        return curve_value(curves[metric], at)
    base = complement_of(metric)
    value = curve_value(curves[base], at) if base in curves and base is not None else None
    return None if value is None else 1.0 - value


def curve_value(curve: Curve, at: At) -> float | None:
    """Return a curve's value at a step, or its mean over the steps of a range.

    Between two points a curve has the value of the first of them, as a state that stays deployed
    until the next one. None where it begins only later.
    """
    first = at.step if at.area is None else at.area[0]
    index = bisect_right(curve.step, first or 0) - 1
    if index < 0:
        return None
    if at.area is None:
        return curve.value[index]
    steps = np.arange(at.area[0], at.area[1] + 1)
    values = np.asarray(curve.value)[np.searchsorted(curve.step, steps, side="right") - 1]
    weights = 1.0 / (steps + 1) if at.scale == "log" else np.ones(len(steps))
    return float(np.average(values, weights=weights))
