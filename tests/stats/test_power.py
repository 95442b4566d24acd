"""Seeds to decide, against the noncentral t, textbook numbers and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import chdtri

from bench.stats.power import paired_power, seeds_to_decide


def by_quadrature(effect: float, n: int, alpha: float) -> float:
    """Power as the mean over the chi distribution of the sample's sd."""
    at = (np.arange(20_000) + 0.5) / 20_000
    s = np.sqrt(chdtri(n - 1, at) / (n - 1))
    t = stats.t.isf(alpha / 2, n - 1)
    shift = effect * math.sqrt(n)
    return float(np.mean(stats.norm.cdf(shift - t * s) + stats.norm.cdf(-shift - t * s)))


@pytest.mark.parametrize("alpha", [0.05, 0.001])
@pytest.mark.parametrize("effect", [0.0, 0.5, 2.0, 10.0, 100.0])
@pytest.mark.parametrize("n", [2, 3, 5, 100])
def test_power_agrees_with_quadrature(n: int, effect: float, alpha: float) -> None:
    expected = by_quadrature(effect, n, alpha)
    assert paired_power(effect, n, alpha) == pytest.approx(expected, abs=5e-5)
    assert paired_power(-effect, n, alpha) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_cohens_small_medium_and_large_effect(effect: float, n: int) -> None:
    # The well-known paired-test sample sizes for 80% power at a two-sided 5% (G*Power).
    assert seeds_to_decide(effect, 1.0) == n
    assert seeds_to_decide(10 - 3 * effect, 3.0, margin=10) == n


@pytest.mark.parametrize("effect", [0.3, 1.0, 3.0, 8.0])
def test_it_is_the_fewest(effect: float) -> None:
    n = seeds_to_decide(effect, 1.0, power=0.9)
    assert n is not None
    assert by_quadrature(effect, n, 0.05) >= 0.9
    assert n == 2 or by_quadrature(effect, n - 1, 0.05) < 0.9


def test_the_power_is_what_simulation_gives() -> None:
    n = seeds_to_decide(1.2, 1.0)
    assert n is not None
    x = np.random.default_rng(0).normal(1.2, 1.0, (20_000, n))
    assert (stats.ttest_1samp(x, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(
        paired_power(1.2, n), abs=0.012
    )


def test_never_two_and_unknown() -> None:
    assert seeds_to_decide(0.0, 1.0) is None
    assert seeds_to_decide(0.5, 1.0, margin=0.5) is None
    assert seeds_to_decide(0.01, 1.0) is None
    assert seeds_to_decide(0.01, 1.0, limit=100_000) == pytest.approx(78_490, abs=10)
    assert seeds_to_decide(0.5, 1.0, limit=33) is None
    assert seeds_to_decide(0.5, 1.0, limit=34) == 34
    assert seeds_to_decide(1e9, 1.0) == 2
    assert seeds_to_decide(0.5, 0.0) == 2
    assert seeds_to_decide(0.0, 0.0) is None
    assert seeds_to_decide(0.5, 1.0, limit=1) is None
    for mean, sd in ((math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)):
        assert seeds_to_decide(mean, sd) is None


def test_senseless_arguments_are_errors() -> None:
    with pytest.raises(ValueError, match="sd"):
        seeds_to_decide(1.0, -1.0)
    with pytest.raises(ValueError, match="power"):
        seeds_to_decide(1.0, 1.0, power=1.0)
    with pytest.raises(ValueError, match="alpha"):
        seeds_to_decide(1.0, 1.0, alpha=5.0)
