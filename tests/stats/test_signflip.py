"""Sign-flip tests against brute force and SciPy's permutation test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.stats.signflip import Alternative, SignFlip, sign_flip

SIDES: list[Alternative] = ["two-sided", "greater", "less"]


def brute_force(x: list[int], alternative: str) -> float:
    """Exact integer arithmetic over all sign patterns."""
    observed, hits = sum(x), 0
    for signs in itertools.product((-1, 1), repeat=len(x)):
        total = sum(s * v for s, v in zip(signs, x, strict=True))
        if alternative == "two-sided":
            hits += abs(total) >= abs(observed)
        else:
            hits += total >= observed if alternative == "greater" else total <= observed
    return hits / 2 ** len(x)


@settings(max_examples=60)
@given(st.lists(st.integers(-9, 9), max_size=8), st.sampled_from(SIDES))
def test_agrees_with_counting_in_integers(x: list[int], alternative: Alternative) -> None:
    # A tenth of each: ties that are exact in integers are not in binary fractions.
    expected = brute_force(x, alternative)
    assert sign_flip(np.array(x) / 10, alternative).p == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("n", [15, 18])
def test_counting_by_halves_is_counting_all(n: int, alternative: Alternative) -> None:
    x = np.random.default_rng(n).normal(0.3, 1, n)
    sums = np.array(list(itertools.product((-1.0, 1.0), repeat=n))) @ x
    if alternative == "two-sided":
        hits = np.abs(sums) >= abs(x.sum()) - 1e-9
    else:
        hits = sums >= x.sum() - 1e-9 if alternative == "greater" else sums <= x.sum() + 1e-9
    assert sign_flip(x, alternative).p == hits.mean()


@pytest.mark.parametrize("alternative", SIDES)
def test_agrees_with_scipys_permutation_test(alternative: Alternative) -> None:
    x = np.random.default_rng(0).normal(0.4, 1, 9)
    expected = stats.permutation_test(
        (x,),
        lambda v, axis: np.mean(v, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
        alternative=alternative,
    )
    assert sign_flip(x, alternative).p == pytest.approx(expected.pvalue, rel=1e-12)


def test_three_seeds_can_never_give_a_two_sided_p_below_a_quarter() -> None:
    assert sign_flip([5.0, 5.1, 5.2]) == SignFlip(0.25, 0.25, True, 3)
    assert sign_flip([5.0, 5.1, 5.2], "greater") == SignFlip(0.125, 0.125, True, 3)
    assert sign_flip([5.0, 5.1, 5.2], "less") == SignFlip(1.0, 0.125, True, 3)


def test_thirty_are_counted_and_more_sampled() -> None:
    x = np.arange(1.0, 32.0)
    assert sign_flip(x[:30]) == SignFlip(2 / 2**30, 2 / 2**30, True, 30)
    # Sums of ±1 are binomial.
    ones = np.repeat([1.0, -1.0], [19, 9])
    assert sign_flip(ones, "greater").p == pytest.approx(stats.binom.sf(18, 28, 0.5), rel=1e-12)
    sampled = sign_flip(x, draws=999)
    assert sampled == SignFlip(1 / 1000, 1 / 1000, False, 31)


def test_the_sampled_test_is_near_the_exact_one_and_repeats_itself() -> None:
    # 40 values of ±1, of which 25 are 1: the exact p is the binomial's, both sides.
    x = np.repeat([1.0, -1.0], [25, 15])
    exact = 2 * float(stats.binom.sf(24, 40, 0.5))
    p = sign_flip(x, draws=20_000).p
    # Four binomial standard errors.
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))
    assert p == sign_flip(x, draws=20_000).p
    assert p != sign_flip(x, draws=20_000, seed=1).p
    assert (p * 20_001) % 1 == pytest.approx(0, abs=1e-6)


def test_nothing_one_value_zeros_and_nan() -> None:
    assert sign_flip([]) == SignFlip(1.0, 1.0, True, 0)
    assert sign_flip([2.0]) == SignFlip(1.0, 1.0, True, 1)
    assert sign_flip([2.0], "greater") == SignFlip(0.5, 0.5, True, 1)
    assert sign_flip([0.0] * 5).p == 1
    assert sign_flip([1e308] * 5).p == 2 / 32
    broken = sign_flip([1.0, math.nan])
    assert math.isnan(broken.p)
    assert broken.smallest == 0.5


def test_unknown_alternatives_and_no_draws_are_errors() -> None:
    with pytest.raises(ValueError, match="alternative"):
        sign_flip([1.0], "larger")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="draws"):
        sign_flip([1.0], draws=0)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_order_and_common_sign_do_not_matter(x: list[float], random: object) -> None:
    shuffled = list(x)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    test = sign_flip(x)
    assert sign_flip(shuffled).p == test.p == sign_flip([-v for v in x]).p
    assert test.smallest <= test.p <= 1
