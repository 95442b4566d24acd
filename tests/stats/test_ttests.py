"""One-sided t tests, checked against SciPy; their edge cases are defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.stats.sample import total
from bench.stats.ttests import OneSided, one_sided, one_sided_welch, outside


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.3, 5.0])
@pytest.mark.parametrize("n", [2, 3, 5, 15])
def test_agrees_with_scipys_one_sided_t_test(n: int, margin: float) -> None:
    x = np.random.default_rng(n).normal(0.2, 1, n)
    test = one_sided(x, margin)
    assert test.p_greater == pytest.approx(
        stats.ttest_1samp(x, margin, alternative="greater").pvalue, rel=1e-9
    )
    assert test.p_less == pytest.approx(
        stats.ttest_1samp(x, margin, alternative="less").pvalue, rel=1e-9
    )
    assert test.p_two_sided == pytest.approx(stats.ttest_1samp(x, margin).pvalue, rel=1e-9)
    assert test.n == n


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_agrees_with_scipys_welch_test(margin: float) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(1, 3, 5), rng.normal(0, 0.5, 8)
    test = one_sided_welch(a, b, margin)
    for side, p in (("greater", test.p_greater), ("less", test.p_less)):
        expected = stats.ttest_ind(a - margin, b, equal_var=False, alternative=side).pvalue
        assert p == pytest.approx(expected, rel=1e-9)
    assert test.n == 5


def test_welch_with_one_sample_without_spread_is_the_t_test_of_the_other() -> None:
    a = [1.0, 2.0, 4.0]
    assert one_sided_welch(a, [0.5] * 9).p_greater == pytest.approx(
        one_sided(a, 0.5).p_greater, rel=1e-12
    )


@pytest.mark.parametrize("values", [[], [3.0]])
def test_fewer_than_two_values_decide_nothing(values: list[float]) -> None:
    assert one_sided(values) == OneSided(1.0, 1.0, len(values))
    assert one_sided_welch(values, [1.0, 2.0]) == OneSided(1.0, 1.0, len(values))
    assert one_sided_welch([1.0, 2.0], values) == OneSided(1.0, 1.0, len(values))


def test_without_spread_p_is_the_smallest_of_an_exact_test_and_a_tie_has_none() -> None:
    assert one_sided([0.1] * 3, 0.05) == OneSided(1 / 8, 1.0, 3)
    assert one_sided([0.1] * 3, 0.2) == OneSided(1.0, 1 / 8, 3)
    assert one_sided([0.1] * 3, 0.1) == OneSided(1.0, 1.0, 3)
    # One of the 35 ways to choose three of seven.
    assert one_sided_welch([0.9] * 3, [0.8] * 4, 0.05) == OneSided(1 / 35, 1.0, 3)


def test_without_spread_p_is_that_of_scipys_permutation_tests() -> None:
    for n in (2, 5, 7):
        test = one_sided([0.3] * n)
        for side, p in (("greater", test.p_greater), ("less", test.p_less)):
            expected = stats.permutation_test(
                ([0.3] * n,), np.mean, permutation_type="samples", alternative=side
            )
            assert p == pytest.approx(expected.pvalue)
    expected = stats.permutation_test(
        ([0.9] * 3, [0.8] * 5), lambda a, b: np.mean(a) - np.mean(b), alternative="greater"
    )
    assert one_sided_welch([0.9] * 3, [0.8] * 5).p_greater == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("width", [0.0, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("n", [3, 5, 15])
def test_at_an_end_of_an_interval_its_outside_is_found_in_at_most_the_level(
    n: int, width: float
) -> None:
    # 20,000 runs at the upper end of ±width/2: the standard error is 0.11 points.
    x = np.random.default_rng(n).normal(width / 2, 1, (20_000, n))
    mean, error = x.mean(axis=1), x.std(axis=1, ddof=1) / math.sqrt(n)
    tails = [stats.t.sf((mean - end) / error, n - 1) for end in (-width / 2, width / 2)]
    at_ends = [OneSided(p, 1 - p, n) for p in np.transpose(tails).ravel()]
    p = [outside(low, high) for low, high in zip(at_ends[::2], at_ends[1::2], strict=True)]
    found = (np.array(p) <= 0.025).mean()
    assert found < 0.0285
    # The nearer end alone: twice the level where both ends are one.
    nearer = np.minimum(tails[1], 1 - tails[0]) <= 0.025
    assert found > 0.017
    assert width > 0 or nearer.mean() > 0.044


def test_the_outside_of_a_point_is_the_two_sided_test() -> None:
    x = [0.4, 1.1, 0.2, 0.9, 0.7]
    test = one_sided(x, 0.3)
    assert outside(test, test) == pytest.approx(stats.ttest_1samp(x, 0.3).pvalue, rel=1e-12)
    far = outside(one_sided(x, -100.0), one_sided(x, 0.3))
    assert far == pytest.approx(test.p_greater, rel=1e-6)


def _normal(value: float) -> float:
    # Products of smaller ones have no digits left to be rounded at.
    return value if abs(value) > 1e-100 else 0.0


@given(
    st.lists(
        st.tuples(st.floats(-1, 1).map(_normal), st.floats(0, 100).map(_normal)),
        min_size=1,
        max_size=6,
    ),
    st.permutations(range(6)),
)
def test_terms_that_cancel_leave_nothing(
    pairs: list[tuple[float, float]], order: list[int]
) -> None:
    # w·v − w·v, each with another rounding, in any order.
    ones = [w * v for w, v in pairs]
    terms = [*ones, *(-(w / 3) * v * 3 for w, v in pairs)]
    shuffled = [terms[i] for i in order if i < len(terms)] + [
        term for i, term in enumerate(terms) if i not in order
    ]
    assert total(shuffled) == 0.0


def test_what_is_left_of_a_sum_is_exact() -> None:
    assert total([0.1, 0.2, -0.3]) == 0.0
    assert total([70.0, -69.9]) == pytest.approx(0.1, rel=1e-12)
    assert total([1e-9, 70.0, -70.0]) == pytest.approx(1e-9)
    assert total([]) == 0.0


def test_a_tie_up_to_rounding_is_a_tie() -> None:
    # All are 0.05 in decimal, and differ by up to 8e-17 from it in binary.
    differences = [0.85 - 0.8, 0.75 - 0.7, 0.35 - 0.3]
    assert len(set(differences)) > 1
    assert one_sided(differences, 0.05) == OneSided(1.0, 1.0, 3)
    assert one_sided_welch([0.85] * 3, [0.8] * 3, 0.05) == OneSided(1.0, 1.0, 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_makes_p_nan(bad: float) -> None:
    for test in (
        one_sided([1.0, bad, 2.0]),
        one_sided([bad]),
        one_sided_welch([1.0, bad], [1.0, 2.0]),
        one_sided_welch([1.0, 2.0], [bad]),
    ):
        assert math.isnan(test.p_two_sided)
        assert math.isnan(test.p_greater)
        assert math.isnan(test.p_less)


def test_only_vectors_are_tested() -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        one_sided(np.ones((2, 2)))


finite = st.floats(-100, 100).map(lambda v: round(v, 3))
vectors = arrays(np.float64, st.integers(2, 12), elements=finite)


@given(vectors, finite, finite)
def test_shifting_values_and_margin_together_changes_nothing(
    x: np.ndarray, margin: float, shift: float
) -> None:
    plain, shifted = one_sided(x, margin), one_sided(x + shift, margin + shift)
    assert shifted.p_greater == pytest.approx(plain.p_greater, rel=1e-6, abs=1e-9)


@given(vectors, finite)
def test_negating_swaps_the_sides(x: np.ndarray, margin: float) -> None:
    plain, mirrored = one_sided(x, margin), one_sided(-x, -margin)
    assert (mirrored.p_less, mirrored.p_greater) == pytest.approx(
        (plain.p_greater, plain.p_less), rel=1e-9
    )


@given(
    arrays(np.float64, st.integers(0, 8), elements=st.floats()),
    arrays(np.float64, st.integers(0, 8), elements=st.floats()),
)
def test_any_values_give_a_p_or_nan_without_a_warning(a: np.ndarray, b: np.ndarray) -> None:
    for test in (one_sided(a), one_sided_welch(a, b)):
        assert math.isnan(test.p_greater) or 0 <= test.p_greater <= 1
        assert math.isnan(test.p_greater) == math.isnan(test.p_less)
