"""Aggregates by hand, by brute force over all resamples, and their intervals by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.stats.aggregate import (
    Aggregate,
    interquartile_mean,
    mean_rank,
    probability_of_improvement,
)

RNG = np.random.default_rng(0)
MANY = {f"set{i}": RNG.normal([[0.0], [0.3], [0.1]], 1, (3, 5)) + i for i in range(6)}


def test_interquartile_mean_by_hand() -> None:
    # Pooled 1 … 8: the middle half is 3, 4, 5, 6.
    scores = {"b": [[8.0, 1.0, 5.0, 4.0]], "a": [[2.0, 7.0, 3.0, 6.0]]}
    (result,) = interquartile_mean(scores)
    assert result.value == 4.5
    assert result.low <= 4.5 <= result.high
    assert (result.datasets, result.n) == (2, 4)


def test_interquartile_mean_agrees_with_scipy() -> None:
    for row, result in enumerate(interquartile_mean(MANY)):
        pooled = np.concatenate([scores[row] for scores in MANY.values()])
        assert result.value == pytest.approx(stats.trim_mean(pooled, 0.25))


def test_mean_rank_by_hand() -> None:
    scores = {
        "a": [[3.0, 3.0], [1.0, 1.0], [2.0, 2.0]],
        "b": [[2.0, 2.0], [1.0, 3.0], [0.0, 0.0]],
    }
    assert [r.value for r in mean_rank(scores)] == [1.25, 2.25, 2.5]
    assert [r.value for r in mean_rank(scores, highest_is_best=False)] == [2.75, 1.75, 1.5]


def test_probability_of_improvement_agrees_with_mann_whitney() -> None:
    expected = np.mean([stats.mannwhitneyu(s[1], s[0]).statistic / 25 for s in MANY.values()])
    result = probability_of_improvement(MANY, 1, 0)
    assert result.value == pytest.approx(expected)
    assert probability_of_improvement(MANY, 0, 1).value == pytest.approx(1 - expected)
    tied = probability_of_improvement({"a": np.ones((2, 3))}, 0, 1)
    assert (tied.value, tied.low, tied.high) == (0.5, 0.5, 0.5)


def test_the_bootstrap_is_that_of_all_resamples() -> None:
    # 3³ resamples of one dataset by 3³ of the other, each equally likely.
    scores = {"a": RNG.normal(size=(1, 3)), "b": RNG.normal(size=(1, 3))}
    picks = list(itertools.product(range(3), repeat=3))
    values = [
        stats.trim_mean(np.concatenate([scores["a"][0, list(i)], scores["b"][0, list(j)]]), 0.25)
        for i, j in itertools.product(picks, picks)
    ]
    (result,) = interquartile_mean(scores, draws=40_000, confidence=0.8)
    low, high = np.quantile(values, [0.1, 0.9])
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.03)


def test_a_seed_is_drawn_for_all_methods_at_once() -> None:
    # The second is the first plus a little at every seed: no resample can turn their order round.
    first = np.random.default_rng(1).normal(0, 5, 6)
    ranks = mean_rank({"a": [first, first + 0.01]})
    assert [(r.value, r.low, r.high) for r in ranks] == [(2, 2, 2), (1, 1, 1)]


def test_the_same_seed_gives_the_same_interval_in_any_order_of_datasets() -> None:
    turned = dict(reversed(MANY.items()))
    assert interquartile_mean(MANY) == interquartile_mean(turned)
    assert interquartile_mean(MANY) != interquartile_mean(MANY, seed=1)


def test_one_seed_bounds_nothing() -> None:
    scores = {"a": [[1.0], [2.0]], "b": [[1.0, 2.0], [3.0, 4.0]]}
    results = (*interquartile_mean(scores), *mean_rank(scores))
    assert all((r.low, r.high, r.n) == (-math.inf, math.inf, 1) for r in results)
    assert [r.value for r in mean_rank(scores)] == [2.0, 1.0]


def test_no_dataset_and_no_seed() -> None:
    assert interquartile_mean({}) == mean_rank({}) == ()
    nothing = probability_of_improvement({}, 0, 1)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high, nothing.datasets) == (-math.inf, math.inf, 0)
    assert all(math.isnan(r.value) for r in interquartile_mean({"a": np.empty((2, 0))}))


def test_a_missing_score_is_never_left_out() -> None:
    scores = {"a": [[1.0, math.nan, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]}
    holed, whole = interquartile_mean(scores)
    assert math.isnan(holed.value)
    assert (holed.low, holed.high) == (-math.inf, math.inf)
    assert whole.value == 2.5
    assert all(math.isnan(r.value) for r in mean_rank(scores))
    assert math.isnan(probability_of_improvement(scores, 0, 1).value)


def test_wrong_shapes_and_levels_are_errors() -> None:
    with pytest.raises(ValueError, match="methods, seeds"):
        interquartile_mean({"a": [1.0, 2.0]})
    with pytest.raises(ValueError, match="same methods"):
        mean_rank({"a": np.ones((2, 3)), "b": np.ones((3, 3))})
    with pytest.raises(ValueError, match="confidence"):
        interquartile_mean(MANY, confidence=95)


def test_covers_the_aggregate_of_many_datasets() -> None:
    # 12 datasets of 10 seeds; 300 runs have a binomial standard error of 1.3 points at 95%.
    rng, hits = np.random.default_rng(2), 0
    for _ in range(300):
        scores = {str(i): rng.normal(0, 1, (1, 10)) for i in range(12)}
        (result,) = interquartile_mean(scores, draws=300)
        hits += result.low <= 0 <= result.high
    assert 0.88 < hits / 300 < 0.985


@settings(max_examples=25)
@given(st.floats(-100, 100))
def test_shifting_all_scores_shifts_the_mean_and_no_rank(shift: float) -> None:
    shifted = {name: scores + shift for name, scores in MANY.items()}
    for plain, moved in zip(
        interquartile_mean(MANY, draws=50), interquartile_mean(shifted, draws=50), strict=True
    ):
        assert (moved.value, moved.low, moved.high) == pytest.approx(
            (plain.value + shift, plain.low + shift, plain.high + shift), abs=1e-9
        )
    assert mean_rank(MANY, draws=50) == mean_rank(shifted, draws=50)


def test_reads_as_one_number_with_its_interval() -> None:
    assert isinstance(interquartile_mean(MANY)[0], Aggregate)
