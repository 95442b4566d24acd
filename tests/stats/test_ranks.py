"""Friedman and Nemenyi against Demsar's worked example and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.stats.ranks import friedman_nemenyi

# Areas under the curve of C4.5 and its variants m, cf, m+cf on 14 datasets: Demsar 2006, Table 6.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],  # his ranks tell these two apart, his three digits do not
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_demsars_example() -> None:
    ranking = friedman_nemenyi(DEMSAR)
    assert ranking.average_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert ranking.critical_difference == pytest.approx(1.25, abs=0.005)
    assert friedman_nemenyi(DEMSAR, alpha=0.10).critical_difference == pytest.approx(1.12, abs=0.01)
    # He finds no pair apart at 5%, and C4.5 apart from m and m+cf at 10%.
    assert ranking.groups == ((3, 1, 2, 0),)
    assert friedman_nemenyi(DEMSAR, alpha=0.10).groups == ((3, 1, 2), (2, 0))
    assert (ranking.datasets, ranking.left_out) == (14, 0)
    expected = stats.friedmanchisquare(*DEMSAR.T)
    assert (ranking.statistic, ranking.p) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)]
)
def test_critical_differences_use_demsars_table_of_q(methods: int, q: float) -> None:
    scores = np.random.default_rng(0).normal(size=(6, methods))
    expected = q * math.sqrt(methods * (methods + 1) / 36)
    assert friedman_nemenyi(scores).critical_difference == pytest.approx(expected, abs=1e-3)


def test_a_clear_order_is_grouped_by_neighbours() -> None:
    # Always ranked 1 to 5 on 12 datasets: the critical difference is 2.728·√(30/72) = 1.76.
    scores = np.tile([5.0, 4.0, 3.0, 2.0, 1.0], (12, 1))
    assert friedman_nemenyi(scores).groups == ((0, 1), (1, 2), (2, 3), (3, 4))
    errors = friedman_nemenyi(scores, highest_is_best=False)
    assert errors.average_ranks == (5.0, 4.0, 3.0, 2.0, 1.0)
    assert errors.groups == ((4, 3), (3, 2), (2, 1), (1, 0))


def test_a_method_apart_from_all_is_a_group_of_its_own() -> None:
    scores = np.tile([9.0, 1.0, 1.0], (30, 1)) + np.random.default_rng(0).normal(0, 0.1, (30, 3))
    assert friedman_nemenyi(scores).groups[0] == (0,)


def test_a_dataset_with_a_missing_score_is_left_out_and_counted() -> None:
    holed = np.vstack([DEMSAR, [[0.5, math.nan, 0.1, 0.2]]])
    ranking = friedman_nemenyi(holed)
    assert (ranking.datasets, ranking.left_out) == (14, 1)
    assert ranking.average_ranks == friedman_nemenyi(DEMSAR).average_ranks


@pytest.mark.parametrize(
    "scores",
    [np.empty((0, 3)), np.ones((1, 3)), np.ones((5, 3)), np.full((4, 3), math.nan), DEMSAR[:, :2]],
)
def test_where_nothing_can_be_told_p_is_one_and_all_are_one_group(scores: np.ndarray) -> None:
    ranking = friedman_nemenyi(scores)
    assert (ranking.statistic, ranking.p) == (0.0, 1.0)
    assert [set(group) for group in ranking.groups] == [set(range(scores.shape[1]))]


def test_ranks_of_nothing_are_nan() -> None:
    ranking = friedman_nemenyi(np.empty((0, 3)))
    assert np.isnan(ranking.average_ranks).all()
    assert ranking.critical_difference == math.inf
    assert friedman_nemenyi(np.empty((3, 0))).groups == ()
    assert friedman_nemenyi(np.ones((3, 1))).groups == ((0,),)


def test_wrong_shapes_and_levels_are_errors() -> None:
    with pytest.raises(ValueError, match="datasets, methods"):
        friedman_nemenyi(np.ones(3))
    with pytest.raises(ValueError, match="alpha"):
        friedman_nemenyi(DEMSAR, alpha=0.0)


@given(
    arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(3, 5)), elements=st.floats(0, 1))
)
def test_only_the_order_on_each_dataset_matters_and_every_method_is_grouped(x: np.ndarray) -> None:
    plain = friedman_nemenyi(x)
    scaled = friedman_nemenyi(4 * x[::-1])
    assert scaled.average_ranks == pytest.approx(plain.average_ranks)
    assert scaled.p == pytest.approx(plain.p)
    assert set().union(*plain.groups) == set(range(x.shape[1]))
    assert sum(plain.average_ranks) == pytest.approx(x.shape[1] * (x.shape[1] + 1) / 2)
