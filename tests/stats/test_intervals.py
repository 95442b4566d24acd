"""Intervals are Student's t, checked against SciPy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.stats.intervals import (
    Estimate,
    mean_interval,
    paired_difference,
    welch_difference,
)

VALUES = [81.05, 80.7, 81.4, 81.11, 80.93]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 5, 15, 200])
def test_agrees_with_scipys_t_interval(n: int, confidence: float) -> None:
    x = np.random.default_rng(n).normal(80, 2, n)
    low, high = stats.t.interval(confidence, n - 1, loc=x.mean(), scale=stats.sem(x))
    estimate = mean_interval(x, confidence)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=1e-9)
    assert estimate.half_width == pytest.approx((high - low) / 2, rel=1e-9)
    assert estimate.sd == pytest.approx(stats.tstd(x), rel=1e-12)
    assert estimate.n == n


def test_five_seeds_by_hand() -> None:
    # t(0.975, 4 degrees of freedom) = 2.776445, from a printed table.
    estimate = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert estimate.mean == 3
    assert estimate.sd == pytest.approx(math.sqrt(2.5))
    assert estimate.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_no_value_has_no_mean() -> None:
    estimate = mean_interval([])
    assert math.isnan(estimate.mean)
    assert math.isnan(estimate.sd)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert (estimate.half_width, estimate.n) == (None, 0)


def test_one_value_bounds_nothing() -> None:
    estimate = mean_interval([0.5])
    assert (estimate.mean, estimate.low, estimate.high) == (0.5, -math.inf, math.inf)
    assert (estimate.half_width, estimate.n) == (None, 1)
    assert not estimate.excludes_zero


@pytest.mark.parametrize("value", [0.1, 0.0, -3.3, 1e300, 5e-324])
def test_equal_values_bound_nothing_and_say_so(value: float) -> None:
    estimate = mean_interval([value] * 7)
    assert estimate == Estimate(value, -math.inf, math.inf, None, 7, 0.0)
    assert estimate.no_spread
    assert not estimate.excludes_zero
    assert not mean_interval([value]).no_spread


def test_values_that_differ_by_rounding_alone_are_equal() -> None:
    # All are 0.1 in decimal.
    estimate = mean_interval([0.3 - 0.2, 0.4 - 0.3, 0.1])
    assert estimate.no_spread
    assert estimate.half_width is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_not_left_out(bad: float) -> None:
    estimate = mean_interval([1.0, bad, 2.0])
    assert math.isnan(estimate.mean)
    assert (estimate.half_width, estimate.n) == (None, 3)
    assert math.isnan(paired_difference([1.0, bad, bad], [1.0, 2.0, bad]).mean)


def test_paired_difference_agrees_with_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(70, 5, 6)
    treated = base + rng.normal(0.8, 0.3, 6)
    result = stats.ttest_rel(treated, base)
    expected = result.confidence_interval(0.95)
    estimate = paired_difference(treated, base)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert estimate.excludes_zero == (result.pvalue < 0.05)


@pytest.mark.parametrize("shift", np.linspace(-1.0, 1.0, 21))
def test_excludes_zero_where_the_t_test_rejects(shift: float) -> None:
    x = np.array([0.2, -0.5, 0.4, 0.1, -0.2]) + shift
    rejected = stats.ttest_1samp(x, 0).pvalue < 0.05
    assert mean_interval(x).excludes_zero == rejected


def test_pairing_removes_what_seeds_share() -> None:
    base = np.array([10.0, 50.0, 90.0])
    treated = base + np.array([0.9, 1.0, 1.1])
    # t(0.975, 2) = 4.302653; the spread of the differences alone, 0.1.
    expected = 4.302653 * 0.1 / math.sqrt(3)
    assert paired_difference(treated, base).half_width == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [3, 5, 15])
def test_covers_at_its_level(n: int) -> None:
    # 2,000 draws: the binomial's standard error is 0.5 points, so 93 to 97% is four of them.
    draws = np.random.default_rng(0).normal(3, 2, (2000, n))
    covered = sum(e.low <= 3 <= e.high for e in map(mean_interval, draws))
    assert 0.93 < covered / len(draws) < 0.97


def test_welch_difference_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(80, 3, 5), rng.normal(78, 0.5, 15)
    result = stats.ttest_ind(a, b, equal_var=False)
    expected = result.confidence_interval(0.9)
    estimate = welch_difference(a, b, 0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert estimate.mean == pytest.approx(a.mean() - b.mean())
    assert estimate.n == 5
    assert estimate.sd == pytest.approx(math.sqrt(a.var(ddof=1) + b.var(ddof=1)))


def test_welch_covers_at_unequal_spreads() -> None:
    rng = np.random.default_rng(0)
    pairs = zip(rng.normal(1, 3, (2000, 5)), rng.normal(0, 1, (2000, 15)), strict=True)
    covered = sum(e.low <= 1 <= e.high for e in (welch_difference(a, b) for a, b in pairs))
    assert 0.93 < covered / 2000 < 0.97


def test_welch_without_enough_values_or_spread() -> None:
    assert math.isnan(welch_difference([], [1.0, 2.0]).mean)
    one = welch_difference([3.0], [1.0, 2.0])
    assert (one.mean, one.low, one.half_width, one.n) == (1.5, -math.inf, None, 1)
    equal = welch_difference([3.0] * 3, [1.0] * 4)
    assert equal == Estimate(2.0, -math.inf, math.inf, None, 3, 0.0)
    alone = welch_difference([1.0, 2.0, 4.0], [0.0] * 9)
    assert alone.half_width == pytest.approx(mean_interval([1.0, 2.0, 4.0]).half_width)
    broken = welch_difference([1.0, math.nan], [1.0, 2.0])
    assert math.isnan(broken.mean)
    assert (broken.half_width, broken.n) == (None, 2)
    with pytest.raises(ValueError, match="confidence"):
        welch_difference([1.0, 2.0], [1.0, 2.0], 0.0)


def test_wrong_shapes_and_levels_are_errors() -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        mean_interval(np.ones((2, 2)))
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="confidence"):
            mean_interval(VALUES, level)


finite = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(arrays(np.float64, st.integers(2, 30), elements=finite), st.floats(-1e6, 1e6))
def test_shifting_the_values_shifts_the_interval(x: np.ndarray, shift: float) -> None:
    plain, shifted = mean_interval(x), mean_interval(x + shift)
    assert shifted.mean == pytest.approx(plain.mean + shift, abs=1e-6)
    assume(plain.half_width is not None)
    assume(shifted.half_width is not None)
    assert shifted.half_width == pytest.approx(plain.half_width, rel=1e-5, abs=1e-6)


@given(arrays(np.float64, st.integers(0, 10), elements=st.floats()))
def test_any_values_give_an_ordered_interval_without_a_warning(x: np.ndarray) -> None:
    estimate = mean_interval(x)
    assert estimate.low <= estimate.high
    assert math.isnan(estimate.mean) or estimate.low <= estimate.mean <= estimate.high
