"""Holm's adjustment, by hand and by its properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from bench.stats.family import holm


def test_four_p_values_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; the last is raised to its predecessor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_agrees_with_statsmodels(n: int) -> None:
    p = np.round(np.random.default_rng(n).beta(0.4, 3, n), 2)  # with ties
    assert holm(p) == pytest.approx(tuple(multipletests(p, method="holm")[1]), rel=1e-12)


def test_nan_stays_and_does_not_count() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert math.isnan(adjusted[1])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.02, 0.04))


def test_no_p_value_only_nan_and_one() -> None:
    assert holm([]) == ()
    assert math.isnan(holm([math.nan])[0])
    assert holm([0.2]) == (0.2,)
    assert holm([0.0, 1.0, 1.0]) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.inf])
def test_what_is_no_probability_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        holm([0.5, bad])


probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(probabilities)
def test_never_below_the_raw_p_never_above_bonferroni_and_in_its_order(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, value in zip(p, adjusted, strict=True):
        assert raw <= value <= min(1.0, len(p) * raw) * (1 + 1e-12)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


@given(probabilities, st.randoms(use_true_random=False))
def test_the_order_of_the_family_does_not_matter(p: list[float], random: object) -> None:
    order = list(range(len(p)))
    random.shuffle(order)  # type: ignore[attr-defined]
    adjusted = holm(p)
    assert holm([p[i] for i in order]) == tuple(adjusted[i] for i in order)


def test_keeps_the_familywise_error_of_twenty_dependent_tests() -> None:
    rng = np.random.default_rng(0)
    # Half of each z is shared: 1,500 families, binomial standard error 0.6 points.
    z = (rng.normal(size=(1500, 1)) + rng.normal(size=(1500, 20))) / math.sqrt(2)
    p = np.array([[math.erfc(abs(v) / math.sqrt(2)) for v in row] for row in z])
    wrong = np.mean([min(holm(row)) <= 0.05 for row in p])
    assert 0.01 < wrong < 0.065
