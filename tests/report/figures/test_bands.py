"""Bands: the mean of the seeds at each step, with SciPy's t interval; no seed comes and goes."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.records.record import Curve
from bench.report.figures.bands import Band, curve_bands, curves_csv, mean_curve

from ..curved import STEPS, curved, figure, follow
from ..studies import Study


def bands(made: Study, index: int = 0) -> list[Band]:
    return curve_bands(made.results, made.plan.suite.figures[index])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(-1e3, 1e3, width=32), min_size=n, max_size=n), min_size=1, max_size=6
        )
    )
)
def test_a_band_is_scipys_t_interval_at_each_step(by_step: list[list[float]]) -> None:
    values = np.array(by_step)  # (steps, seeds)
    steps = tuple(range(0, 3 * len(values), 3))
    found, estimates = mean_curve([Curve(steps, tuple(seed)) for seed in values.T])
    assert found == steps
    for row, estimate in zip(values, estimates, strict=True):
        assert estimate.mean == pytest.approx(row.mean(), abs=1e-9)
        if np.ptp(row) == 0:
            assert (estimate.low, estimate.high) == (-np.inf, np.inf)
            continue
        low, high = stats.t.interval(0.95, len(row) - 1, row.mean(), stats.sem(row))
        assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def test_bands_are_by_place_and_in_the_plans_order() -> None:
    made = curved({"dataset": ["pets", "cars"]}, figure())
    follow(made, lambda labels, step: step / 100 + (labels["method"] == "l2"))
    places = [(band.where["dataset"], band.where["method"]) for band in bands(made)]
    assert places == [("pets", "l2"), ("pets", "l2+bss"), ("cars", "l2"), ("cars", "l2+bss")]
    assert [e.mean for e in bands(made)[0].estimates] == [1 + step / 100 for step in STEPS]


def test_a_step_that_one_seed_lacks_says_so_and_is_not_drawn() -> None:
    made = curved({"method": ["l2"]}, figure())
    follow(
        made,
        lambda labels, step: float(labels["seed"]),
        steps=lambda labels: [0, 4, 8] if labels["seed"] == 2 else [0, 5, 8],
    )
    (band,) = bands(made)
    assert band.at == (0, 4, 5, 8)
    assert [estimate.n for estimate in band.estimates] == [3, 1, 2, 3]
    assert [estimate.mean for estimate in band.estimates] == [1.0, 2.0, 0.5, 1.0]
    assert [band.at[i] for i in band.common] == [0, 8]


def test_missing_seeds_make_a_band_partial() -> None:
    made = curved({"method": ["l2"]}, figure())
    follow(made, lambda labels, step: 0.5)
    assert not bands(made)[0].partial
    made.lose("failed", seed=1)
    (band,) = bands(made)
    assert (band.partial, band.n, band.expected) == (True, 2, 3)


def test_one_seed_has_a_mean_and_nothing_that_bounds_it() -> None:
    made = curved({"method": ["l2"], "seed": [7]}, figure())
    follow(made, lambda labels, step: 0.25)
    (band,) = bands(made)
    assert {(e.mean, e.half_width) for e in band.estimates} == {(0.25, None)}


def test_single_seeds_are_the_first_and_never_averaged() -> None:
    made = curved({"method": ["l2"]}, figure(seeds=2))
    follow(made, lambda labels, step: float(labels["seed"]))
    assert [(b.seed, b.estimates[0].mean, b.estimates[0].n) for b in bands(made)] == [
        (0, 0.0, 1), (1, 1.0, 1),
    ]  # fmt: skip


def test_where_selects_one_value_or_several() -> None:
    axes = {"dataset": ["a", "b", "c"], "method": ["l2"]}
    for where, names in (({"dataset": "b"}, ["b"]), ({"dataset": ["c", "a"]}, ["a", "c"])):
        made = curved(axes, figure(where=where))
        follow(made, lambda labels, step: 0.5)
        assert [band.where["dataset"] for band in bands(made)] == names


def test_an_error_is_one_less_the_accuracy() -> None:
    made = curved({"method": ["l2"]}, figure(panels=[{"curve": "anytime/test/top1_error"}]))
    follow(made, lambda labels, step: 0.75)
    (band,) = bands(made)
    assert {estimate.mean for estimate in band.estimates} == {0.25}


def test_a_curve_that_no_record_has_gives_no_band() -> None:
    made = curved({"method": ["l2"]}, figure(panels=[{"curve": "head/norm"}]))
    follow(made, lambda labels, step: 0.75)
    assert bands(made) == []


def rows(made: Study) -> list[dict[str, str]]:
    found = [band for i in range(len(made.plan.suite.figures)) for band in bands(made, i)]
    return list(csv.DictReader(io.StringIO(curves_csv(found, made.plan.suite.axes))))


def test_the_csv_has_every_step_once_in_the_records_unit() -> None:
    made = curved({"method": ["l2"]}, figure(), figure(title="Again"))
    follow(
        made,
        lambda labels, step: [0.1, 0.2, 0.6][int(labels["seed"])],
        steps=lambda labels: [0, 5] if labels["seed"] == 0 else [0],
    )
    first, second = rows(made)
    axes = ["backbone", "weights", "dataset", "sampling_rate", "method"]
    assert list(first) == [*axes, "curve", "step", "n", "mean", "low", "high", "sd"]
    assert (first["curve"], first["step"], first["n"]) == ("anytime/test/top1", "0", "3")
    # Mean 0.3, sd √0.07: half-width 4.302653 × 0.264575 / √3.
    assert float(first["mean"]) == pytest.approx(0.3)
    assert float(first["sd"]) == pytest.approx(math.sqrt(0.07))
    assert float(first["high"]) - float(first["mean"]) == pytest.approx(0.657241, abs=1e-6)
    assert (second["step"], second["n"], second["mean"]) == ("5", "1", "0.1")
    assert (second["low"], second["high"], second["sd"]) == ("", "", "")


def test_the_csv_names_the_seed_where_single_seeds_are_drawn() -> None:
    made = curved({"method": ["l2"]}, figure(), figure(seeds=1))
    follow(made, lambda labels, step: float(labels["seed"]), steps=lambda labels: [0])
    assert [(row["seed"], row["n"], row["mean"]) for row in rows(made)] == [
        ("", "3", "1.0"), ("0", "1", "0.0"),
    ]  # fmt: skip


def test_a_whole_step_is_written_whole_beside_others() -> None:
    made = curved({"method": ["l2"]}, figure())
    follow(made, lambda labels, step: step, steps=lambda labels: [0, 2.5, 10])
    assert [row["step"] for row in rows(made)] == ["0", "2.5", "10"]
