"""Two one-sided tests against statsmodels, by simulation, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtr
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind

from bench.stats.equivalence import equivalent

OURS = [81.05, 80.7, 81.4, 81.11, 80.93]


@pytest.mark.parametrize("tolerance", [0.1, 0.5, 2.0])
def test_agrees_with_statsmodels_where_the_reported_mean_is_exact(tolerance: float) -> None:
    expected = DescrStatsW(np.array(OURS)).ttost_mean(81.2 - tolerance, 81.2 + tolerance)[0]
    result = equivalent(OURS, 81.2, tolerance)
    assert result.p == pytest.approx(expected, rel=1e-9)
    assert not result.uses_reported_spread
    assert result.difference == pytest.approx(81.038 - 81.2)


@pytest.mark.parametrize("tolerance", [0.3, 1.0])
def test_agrees_with_statsmodels_welch_where_the_reported_spread_is_known(tolerance: float) -> None:
    theirs = np.array([80.2, 81.0, 81.7])
    expected = ttost_ind(np.array(OURS), theirs, -tolerance, tolerance, usevar="unequal")[0]
    result = equivalent(
        OURS, theirs.mean(), tolerance, reported_sd=theirs.std(ddof=1), reported_n=3
    )
    assert result.p == pytest.approx(expected, rel=1e-9)
    assert result.uses_reported_spread
    welch = stats.ttest_ind(OURS, theirs, equal_var=False).confidence_interval(0.9)
    assert (result.low, result.high) == pytest.approx((welch.low, welch.high), rel=1e-9)


@pytest.mark.parametrize(("sd", "n"), [(None, None), (0.4, None), (None, 5), (0.4, 1)])
def test_an_incomplete_report_is_taken_as_exact_and_says_so(
    sd: float | None, n: int | None
) -> None:
    result = equivalent(OURS, 81.0, 0.5, reported_sd=sd, reported_n=n)
    assert not result.uses_reported_spread
    assert result == equivalent(OURS, 81.0, 0.5)


def test_the_verdicts_are_those_of_the_interval() -> None:
    for reported in np.linspace(79, 83, 81):
        result = equivalent(OURS, reported, 0.5)
        assert result.equivalent == (result.low >= -0.5 and result.high <= 0.5)
        assert not (result.equivalent and result.different)


def test_different_is_beyond_the_tolerance_on_either_side() -> None:
    for reported in (70.0, 90.0):
        result = equivalent(OURS, reported, 1.0)
        assert result.different
        assert not result.equivalent
    assert equivalent(OURS, 80.0, 0.0).p_different == pytest.approx(
        stats.ttest_1samp(OURS, 80.0).pvalue, rel=1e-9
    )


@pytest.mark.parametrize("values", [[], [81.0]])
def test_fewer_than_two_values_decide_nothing(values: list[float]) -> None:
    result = equivalent(values, 81.0, 5.0)
    assert (result.p, result.p_different, result.n) == (1.0, 1.0, len(values))
    assert (result.low, result.high) == (-math.inf, math.inf)
    assert not result.equivalent
    assert not result.different


def test_without_spread_nothing_is_certain() -> None:
    # Flipping signs gives 2⁻ⁿ at best: 1/8 for three values, 1/32 for five.
    three = equivalent([0.80] * 3, 0.81, 0.02)
    assert (three.p, three.equivalent) == (1 / 8, False)
    assert (three.low, three.high) == (-math.inf, math.inf)
    five = equivalent([0.80] * 5, 0.81, 0.02)
    assert (five.p, five.equivalent) == (1 / 32, True)
    assert equivalent([0.80] * 5, 0.82, 0.02).p == 1
    assert equivalent([0.80] * 5, 0.82, 0.02).p_different == 1
    # Outside: 2⁻ⁿ for each end.
    assert equivalent([0.80] * 5, 0.83, 0.02).p_different == 1 / 16
    six = equivalent([0.80] * 6, 0.83, 0.02)
    assert (six.equivalent, six.different, six.p_different) == (False, True, 1 / 32)
    assert not equivalent([0.80] * 9, 0.80, 0.0).equivalent
    # One of the 56 ways to choose three of eight.
    both = equivalent([0.8] * 3, 0.81, 0.02, reported_sd=0.0, reported_n=5)
    assert both.p == pytest.approx(1 / 56)


def test_no_verdict_from_nan() -> None:
    for result in (equivalent([1.0, math.nan], 1.0, 1.0), equivalent(OURS, math.nan, 1.0)):
        assert math.isnan(result.p)
        assert math.isnan(result.p_different)
        assert not result.equivalent
        assert not result.different


def test_senseless_arguments_are_errors() -> None:
    with pytest.raises(ValueError, match="tolerance"):
        equivalent(OURS, 1.0, -1.0)
    with pytest.raises(ValueError, match="reported_sd"):
        equivalent(OURS, 1.0, 1.0, reported_sd=-1.0)
    with pytest.raises(ValueError, match="alpha"):
        equivalent(OURS, 1.0, 1.0, alpha=0.5)


def simulated(n: int, delta: float, tolerance: float, reported_sd: float, runs: int) -> np.ndarray:
    """``(runs, 2)``: how often equivalent, different; the reported mean varies if its sd says."""
    rng = np.random.default_rng(n)
    ours = rng.normal(delta, 1.0, (runs, n))
    theirs = rng.normal(0, reported_sd, (runs, 5)) if reported_sd else np.zeros((runs, 5))
    results = [
        equivalent(a, b.mean(), tolerance, reported_sd=b.std(ddof=1), reported_n=5)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return np.array([(r.equivalent, r.different) for r in results]).mean(axis=0)


@pytest.mark.parametrize(("n", "reported_sd"), [(3, 0.0), (5, 1.0), (15, 2.0)])
def test_at_the_edge_of_the_tolerance_five_percent_are_called_equivalent(
    n: int, reported_sd: float
) -> None:
    # 3,000 runs: the standard error is 0.4 points.
    same, different = simulated(n, 3.0, 3.0, reported_sd, 3000)
    assert 0.03 < same < 0.063
    assert different < 0.063


def test_power_grows_with_the_tolerance() -> None:
    # Ours at the reported mean, sd 1 and n = 5: P(|t| < tolerance·√5/s − t*) by quadrature over s.
    result = simulated(5, 0.0, 2.0, 0.0, 2000)[0]
    s = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, 4) / 4)
    room = np.maximum(2.0 - stats.t.ppf(0.95, 4) * s / math.sqrt(5), 0)
    expected = np.mean(1 - 2 * stats.norm.sf(room * math.sqrt(5)))
    assert result == pytest.approx(expected, abs=0.03)
    assert stdtr(4, 2.131847) == pytest.approx(0.95, abs=1e-6)
