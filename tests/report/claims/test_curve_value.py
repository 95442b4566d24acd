"""One number a cell: metrics, derived errors, and what is taken of a curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.records.record import Curve, Record
from bench.report.claims.verdict import compared_metric
from bench.report.crossing import Undefined
from bench.report.values import curve_value, record_value
from bench.spec.claims import At, Claim
from bench.spec.suite import ShownMetric, Table

from ..studies import study

CURVE = Curve((0, 1, 3, 8), (0.1, 0.2, 0.4, 0.5))


def claim(**fields: object) -> Claim:
    given = {"id": "a", "text": "A.", "source": "s", "not_rebuilt": "no"}
    return Claim.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0.1), (1, 0.2), (2, 0.2), (3, 0.4), (7, 0.4), (8, 0.5), (99, 0.5)]
)
def test_at_a_step_a_curve_has_the_value_of_its_last_point(step: int, value: float) -> None:
    assert curve_value(CURVE, At(step=step)) == value


def test_at_its_end_a_curve_has_the_value_of_its_last_point() -> None:
    assert curve_value(CURVE, At(step="end")) == 0.5
    assert curve_value(Curve((), ()), At(step="end")) is None


def test_before_its_first_point_a_curve_has_no_value() -> None:
    late = Curve((5, 10), (0.1, 0.2))
    assert curve_value(late, At(step=4)) is None
    assert curve_value(late, At(area=(4, 10))) is None


def test_an_area_is_the_mean_over_its_steps() -> None:
    # Steps 1..4: 0.2, 0.2, 0.4, 0.4.
    assert curve_value(CURVE, At(area=(1, 4))) == pytest.approx(0.3)
    assert curve_value(CURVE, At(area=(3, 3))) == pytest.approx(0.4)


def test_on_a_log_scale_early_steps_weigh_more() -> None:
    values = [0.1, 0.2, 0.2, 0.4, 0.4]
    weights = [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    expected = np.dot(values, weights) / sum(weights)
    assert curve_value(CURVE, At(area=(0, 4), scale="log")) == pytest.approx(expected)


def test_an_error_is_one_less_its_accuracy_of_metrics_and_curves() -> None:
    made = study()
    cell = made.plan.cells[0].cell
    made.put(cell, {"test/top1": 0.75})
    record = made.records[cell.id]
    curved = replace(record, outcome=replace(record.outcome, curves={"anytime/test/top1": CURVE}))

    def said(record: Record, metric: str, at: At | None = None) -> float | Undefined | None:
        return record_value(record, ShownMetric(metric=metric, at=at), made.plan.curves)

    assert said(record, "test/top1_error") == 0.25
    assert said(curved, "anytime/test/top1_error", At(step=3)) == pytest.approx(0.6)
    assert said(curved, "anytime/test/top1", At(step=3)) == 0.4
    assert said(record, "anytime/test/top1", At(step=3)) is None
    assert said(record, "test/top5") is None


def test_a_claim_is_about_the_tables_metric_where_it_does_not_say() -> None:
    plan = study(table=Table(metric="test/loss", decimals=3)).plan
    found = compared_metric(claim(), plan)
    assert (found.metric, found.unit, found.best, found.decimals) == ("test/loss", "", "lowest", 3)


def test_what_is_compared_has_its_own_unit() -> None:
    plan = study().plan
    assert compared_metric(claim(metric="source/top1"), plan).unit == "%"
    assert compared_metric(claim(metric="features/distance"), plan).unit == ""
    curve = claim(metric="anytime/test/top1", at={"step": 3})
    assert compared_metric(curve, plan).unit == "%"


def test_every_place_has_an_entry_with_its_done_seeds_in_the_unit() -> None:
    made = study({"sampling_rate": [0.15]})
    made.record([0.5, None, 0.25], method="l2")
    entries = made.results.entries(made.plan.suite.metrics[0])
    assert [entry.where["method"] for entry in entries] == ["l2", "l2+bss"]
    assert entries[0].values == {0: 50.0, 2: 25.0}
    assert (entries[0].expected, entries[1].values) == (3, {})
    assert "seed" not in entries[0].where
