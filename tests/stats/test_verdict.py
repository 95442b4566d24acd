"""Verdicts: what supports, what refutes, and what decides nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.stats.verdict import ALPHA, Decision, Question, decide, seeds_to_verdict

GREATER = Question("greater")


def at(mean: float, sd: float = 1.0, n: int = 5) -> np.ndarray:
    """Values with exactly this mean and standard deviation."""
    x = np.linspace(-1, 1, n)
    return mean + sd * x / x.std(ddof=1)


def one(values: np.ndarray, question: Question = GREATER) -> Decision:
    return decide([values], question)


def test_one_comparison_is_the_one_sided_t_test() -> None:
    x = np.array([0.4, 1.1, 0.2, 0.9, 0.7])
    found = one(x)
    assert found.p_support == pytest.approx(stats.ttest_1samp(x, 0, alternative="greater").pvalue)
    assert found.p_refute == pytest.approx(stats.ttest_1samp(x, 0, alternative="less").pvalue)
    assert found.outcome == "supported"
    low, high = stats.t.interval(0.95, 4, x.mean(), stats.sem(x))
    assert (found.tests[0].estimate.low, found.tests[0].estimate.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("mean", "outcome"), [(1.25, "supported"), (1.23, "undecided"), (-1.25, "refuted")]
)
def test_support_and_refutation_begin_where_the_interval_leaves_zero(
    mean: float, outcome: str
) -> None:
    # t(0.975, 4) / √5 = 1.2417 standard deviations.
    assert one(at(mean)).outcome == outcome


def test_less_is_greater_of_the_negated() -> None:
    x = at(1.3)
    assert one(-x, Question("less")).outcome == "supported"
    assert one(x, Question("less")).outcome == "refuted"
    assert one(-x, Question("less", margin=0.5)) != one(-x, Question("less"))
    assert one(-x, Question("less", 0.5)).p_support == pytest.approx(
        stats.ttest_1samp(x, 0.5, alternative="greater").pvalue
    )


def test_a_margin_must_be_exceeded() -> None:
    assert one(at(1.3), Question("greater", margin=0.1)).outcome == "undecided"
    assert one(at(1.4), Question("greater", margin=0.1)).outcome == "supported"


def test_each_needs_every_comparison_uncorrected() -> None:
    # p = 0.0249 each: four of them would fail after any correction.
    found = decide([at(1.2425)] * 4, GREATER)
    assert found.outcome == "supported"
    assert found.p_support == pytest.approx(found.tests[0].p_support)
    assert found.tests[0].adjusted_support > ALPHA
    assert decide([at(5.0)] * 3 + [at(1.0)], GREATER).outcome == "undecided"


def test_the_deciding_comparison_is_the_weakest() -> None:
    found = decide([at(5.0), at(0.2), at(3.0)], GREATER)
    assert found.deciding == 1
    assert found.p_support == found.tests[1].p_support


def test_one_bad_comparison_refutes_after_holms_correction() -> None:
    good, bad = [at(2.0)] * 3, at(-1.3)
    # p against is 0.022; beside three others Holm multiplies it by four.
    assert decide([bad], GREATER).outcome == "refuted"
    assert decide([*good, bad], GREATER).outcome == "undecided"
    found = decide([*good, at(-2.5)], GREATER)
    assert (found.outcome, found.deciding) == ("refuted", 3)
    assert found.p_refute == pytest.approx(4 * found.tests[3].p_refute)


def test_at_least_counts_after_holms_correction() -> None:
    samples = [at(5.0), at(5.0), at(1.3), at(-0.1)]
    assert decide(samples, Question("greater", quorum=2)).outcome == "supported"
    # 1.3 is significant alone, and not beside three others.
    assert decide(samples, Question("greater", quorum=3)).outcome == "undecided"
    assert decide(samples[2:3], GREATER).outcome == "supported"


def test_at_least_is_refuted_by_too_many_on_the_other_side() -> None:
    samples = [at(5.0), at(-5.0), at(-5.0), at(0.1)]
    assert decide(samples, Question("greater", quorum=2)).outcome == "undecided"
    assert decide(samples, Question("greater", quorum=3)).outcome == "refuted"


def test_what_does_not_matter_refutes() -> None:
    small = at(0.2, sd=0.05)
    assert one(small).outcome == "supported"
    assert one(small, Question("greater", matters=0.5)).outcome == "refuted"
    assert one(small, Question("greater", matters=0.15)).outcome == "supported"
    assert one(-small, Question("less", matters=0.5)).outcome == "refuted"


def test_what_does_not_matter_is_no_support_even_before_holm() -> None:
    # Interval wholly below 0.5, but only just: beside four others Holm leaves it undecided.
    sd = 0.1
    small = at(0.5 - 1.25 * sd, sd=sd)
    found = decide([small, *[at(5.0)] * 4], Question("greater", matters=0.5))
    assert one(small).p_support <= ALPHA
    assert found.tests[0].p_support == found.tests[0].adjusted_support == 1
    assert not found.tests[0].holds
    assert found.outcome == "undecided"


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [(0.0, "supported"), (0.74, "supported"), (0.77, "undecided"), (1.2, "undecided"),
     (1.26, "refuted"), (-1.26, "refuted")],
)  # fmt: skip
def test_equal_is_the_interval_inside_or_outside_the_tolerance(mean: float, outcome: str) -> None:
    # Half-width 1.2417 · 0.2 = 0.2483, tolerance 1.
    assert one(at(mean, sd=0.2), Question("equal", margin=1.0)).outcome == outcome


def test_equal_is_the_larger_of_two_one_sided_p_values() -> None:
    x = np.array([0.4, 1.1, 0.2, 0.9, 0.7])
    above = stats.ttest_1samp(x, -1, alternative="greater").pvalue
    below = stats.ttest_1samp(x, 1, alternative="less").pvalue
    assert one(x, Question("equal", margin=1.0)).p_support == pytest.approx(max(above, below))


def test_equal_values_are_decided_by_flipping_signs() -> None:
    # 2⁻⁵ = 0.031 decides nothing, 2⁻⁶ = 0.016 does; equality decides nothing at any n.
    assert one(np.full(5, 0.3)).outcome == "undecided"
    assert one(np.full(6, 0.3)).p_support == 2**-6
    assert one(np.full(6, 0.3)).outcome == "supported"
    assert one(np.full(6, -0.3)).outcome == "refuted"
    assert one(np.zeros(50)).outcome == "undecided"


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan, 1.0], [1.0, math.inf]])
def test_what_is_not_a_sample_decides_nothing(values: list[float]) -> None:
    found = decide([values, at(9.0)], GREATER)
    assert found.outcome == "undecided"
    assert (found.p_support, found.deciding) == (1.0, 0)
    assert decide([values], Question("equal", margin=1.0)).outcome == "undecided"


def test_more_comparisons_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        decide([at(1.0)] * 2, Question("greater", quorum=3))
    with pytest.raises(ValueError, match="0 of 0"):
        decide([], GREATER)


def test_the_sign_flips_p_stands_beside_t() -> None:
    # Of 2⁵ sign patterns only the observed one has a mean this large.
    assert one(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tests[0].sign_flip == 1 / 32


def power(effect: float, n: int, alpha: float = 0.05) -> float:
    quantile = stats.t.ppf(1 - alpha / 2, n - 1)
    return float(stats.nct.sf(quantile, n - 1, effect * math.sqrt(n)))


def seeds(samples: list[np.ndarray], question: Question = GREATER) -> int | None:
    found = seeds_to_verdict(samples, question, decide(samples, question))
    return found.seeds if found is not None else None


@pytest.mark.parametrize("mean", [0.5, -0.5])
def test_seeds_are_those_at_which_the_t_test_would_probably_decide(mean: float) -> None:
    n = seeds([at(mean)])
    assert n is not None
    assert power(0.5, n) >= 0.8 > power(0.5, n - 1)


def test_what_more_seeds_would_bring_and_which_comparison_brings_it() -> None:
    for samples, outcome, comparison in (
        ([at(5.0), at(0.5), at(1.0)], "supported", 1),
        # One that points the other way is enough to refute, and the strongest does so first.
        ([at(0.5), at(-0.2), at(-0.6)], "refuted", 2),
    ):
        found = seeds_to_verdict(samples, GREATER, decide(samples, GREATER))
        assert found is not None
        assert (found.outcome, found.comparison) == (outcome, comparison)


def test_seeds_of_each_are_those_of_the_weakest_that_points_the_right_way() -> None:
    assert seeds([at(0.5), at(1.0), at(5.0)]) == seeds([at(0.5)])
    assert seeds([at(5.0), at(1.3)]) is None


def test_seeds_against_are_those_of_the_strongest_at_holms_level() -> None:
    n, level = seeds([at(0.5), at(-0.9), at(-0.1)]), 0.05 / 3
    assert n is not None
    assert power(0.9, n, level) >= 0.8 > power(0.9, n - 1, level)


def test_seeds_for_at_least_are_those_of_the_last_one_needed() -> None:
    n, level = seeds([at(0.5), at(0.9), at(0.1)], Question("greater", quorum=2)), 0.05 / 3
    assert n is not None
    assert power(0.5, n, level) >= 0.8 > power(0.5, n - 1, level)


def test_no_number_of_seeds_decides_what_is_at_the_margin() -> None:
    assert seeds([at(0.0)]) is None
    assert seeds([at(0.01)]) is None
    assert seeds([np.zeros(5)]) is None
    assert seeds([np.full(3, 0.5)]) == 6


def test_an_effect_short_of_what_matters_is_on_its_way_to_refutation() -> None:
    n = seeds([at(0.2)], Question("greater", matters=0.9))
    assert n is not None
    # 0.7 standard deviations below what matters.
    assert power(0.7, n) >= 0.8 > power(0.7, n - 1)


def test_seeds_for_equality_bring_the_interval_inside_the_tolerance() -> None:
    n = seeds([at(0.4, sd=1.0)], Question("equal", margin=1.0))
    assert n is not None
    # The probability that both one-sided tests reject, by simulation.
    x = np.random.default_rng(3).normal(0.4, 1.0, (20_000, n))
    half = stats.t.ppf(0.975, n - 1) * x.std(axis=1, ddof=1) / math.sqrt(n)
    assert 0.78 < (np.abs(x.mean(axis=1)) + half < 1).mean() < 0.95


values = st.floats(-3, 3).map(lambda v: round(v, 3))
samples = st.lists(st.lists(values, min_size=2, max_size=7), min_size=1, max_size=5)
questions = st.builds(
    Question, st.sampled_from(["greater", "less", "equal"]), st.sampled_from([0.1, 0.5, 1.0])
)


@settings(max_examples=40, deadline=None)
@given(samples, questions, st.randoms(use_true_random=False))
def test_the_order_of_comparisons_and_seeds_does_not_matter(given_, question, random) -> None:
    found = decide(given_, question)
    mixed = [random.sample(each, len(each)) for each in random.sample(given_, len(given_))]
    again = decide(mixed, question)
    assert again.outcome == found.outcome
    assert again.p_support == pytest.approx(found.p_support)
    assert again.p_refute == pytest.approx(found.p_refute)


@settings(max_examples=40, deadline=None)
@given(samples, questions)
def test_a_verdict_is_at_the_level_of_its_p(given_, question) -> None:
    found = decide(given_, question)
    assert found.outcome != "supported" or found.p_support <= ALPHA < found.p_refute
    assert found.outcome != "refuted" or found.p_refute <= ALPHA


# In standard deviations of 0.1 from 1: 1.2417 of them are half an interval.
near_what_matters = st.lists(
    st.sampled_from([-9, -1.3, 0, 5]).map(lambda k: at(1 + 0.1 * k, sd=0.1)), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(near_what_matters, st.integers(0, 5))
def test_an_undecided_statement_has_no_p_of_a_decided_one(given_, quorum) -> None:
    quorum = min(quorum, len(given_)) or None
    found = decide(given_, Question("greater", matters=1.0, quorum=quorum))
    assert (found.p_claim <= 2 * ALPHA) is (found.outcome != "undecided")


def test_a_statement_that_is_just_not_true_is_rarely_supported() -> None:
    # All comparisons but one have an effect: the union test's worst case. 2.5% of 600: 15 ± 4.
    rng = np.random.default_rng(7)
    draws = rng.normal([3, 3, 0], 1, (600, 5, 3))
    hits = sum(decide(list(draw.T), GREATER).outcome == "supported" for draw in draws)
    assert 5 <= hits <= 27


def test_a_true_statement_is_rarely_refuted() -> None:
    # Four effects of zero: Holm keeps one wrong refutation of the family at 2.5%.
    rng = np.random.default_rng(8)
    draws = rng.normal(0, 1, (600, 5, 4))
    hits = sum(decide(list(draw.T), GREATER).outcome == "refuted" for draw in draws)
    assert hits <= 27


@pytest.mark.parametrize("count", [2, 3])
def test_a_quorum_of_all_is_corrected_in_the_outlook_as_in_the_verdict(count):
    """Constant samples: p is 2⁻ⁿ, and Holm's correction multiplies it by their number."""
    question = Question("greater", 0.0, quorum=count)
    samples = [np.full(5, 1.0)] * count
    outlook = seeds_to_verdict(samples, question, decide(samples, question))
    assert outlook is not None
    at = [decide([np.full(n, 1.0)] * count, question).outcome for n in (6, 7, 8)]
    assert at[0] == "undecided"
    assert at[outlook.seeds - 6] == "supported"
