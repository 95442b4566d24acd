"""Settling: the whole procedure keeps its level, and saves seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.stats.sequential.looks import Looks, levels
from bench.stats.sequential.pvalues import sequential_sides
from bench.stats.sequential.settling import WORTH, reached, settle
from bench.stats.sides import ALPHA
from bench.stats.verdict import Question

LOOKS = (5, 8, 11, 15)
RULE = Looks(LOOKS, spending="pocock")
GREATER = Question("greater")


def procedure(x: np.ndarray, question: Question, *, every: bool = False) -> tuple[str, int]:
    """Verdict and seeds used, all comparisons together, of ``(K, 15)`` values made when needed."""
    n = [LOOKS[0]] * len(x)
    while True:
        found = settle([row[:k] for row, k in zip(x, n, strict=True)], question, RULE, every=every)
        if not any(found.following):
            return found.decision.outcome, sum(n)
        n = [to or k for to, k in zip(found.following, n, strict=True)]


def simulate(
    effects: Sequence[float], runs: int, question: Question = GREATER, *, seed: int = 0
) -> tuple[dict[str, float], float]:
    """Share of each verdict, and mean seeds a comparison, at effects in standard deviations."""
    rng, outcomes, used = np.random.default_rng(seed), Counter[str](), 0
    for _ in range(runs):
        x = rng.standard_normal((len(effects), LOOKS[-1])) + np.array(effects)[:, None]
        outcome, seeds = procedure(x, question)
        outcomes[outcome] += 1
        used += seeds
    return {k: v / runs for k, v in outcomes.items()}, used / runs / len(effects)


def most(level: float, runs: int) -> float:
    """What a share at this level exceeds by chance in one of a thousand simulations."""
    return level + 3.1 * math.sqrt(level * (1 - level) / runs)


def test_a_true_null_is_decided_in_at_most_five_percent() -> None:
    runs = 2000
    shares, seeds = simulate([0.0], runs, seed=1)
    wrong = shares.get("supported", 0) + shares.get("refuted", 0)
    # Giving up what has little chance, and sign flips, only take away: 3.8%, not 5%.
    assert wrong <= most(0.05, runs)
    assert wrong > 0.015
    assert max(shares.get("supported", 0), shares.get("refuted", 0)) <= most(ALPHA, runs)
    # Most of it is given up early: 7 seeds instead of 15.
    assert seeds < 8


def crossed(x: np.ndarray, n: int, level: float) -> np.ndarray:
    """Where the two-sided t test of the first n decides at this level."""
    p = stats.ttest_1samp(x[:, :n], 0, axis=1).pvalue
    return np.asarray(p <= level)


def test_a_fixed_verdict_before_the_looks_would_be_a_chance_too_many() -> None:
    # A reader's way: report first at 5%, settle what is undecided. Why that is refused.
    x = np.random.default_rng(9).standard_normal((50_000, LOOKS[-1]))
    at_looks = np.any(
        [crossed(x, n, level) for n, level in zip(LOOKS, levels(RULE), strict=True)], axis=0
    )
    fixed = crossed(x, LOOKS[0], 0.05)
    # Four standard errors of 0.1 points.
    assert (fixed | at_looks).mean() == pytest.approx(0.077, abs=0.005)
    # The two ways that are left: the fixed verdict alone, or looks from the first one on.
    assert fixed.mean() <= most(0.05, len(x))
    assert at_looks.mean() <= most(0.05, len(x))


def test_skewed_seeds_are_decided_less_often_than_by_t_alone() -> None:
    runs, rng = 400, np.random.default_rng(10)
    wrong = Counter[str]()
    for x in rng.exponential(1, (runs, 1, LOOKS[-1])) - 1:
        found = settle(list(x), GREATER, RULE, every=True).decision
        wrong["both"] += found.outcome == "refuted"
        wrong["t"] += found.by_t == "refuted"
    assert wrong["both"] <= wrong["t"]
    # With those given up that have little chance 11%, as docs/settling.md says.
    assert wrong["both"] / runs == pytest.approx(0.11, abs=0.055)


def test_symmetric_seeds_far_from_normal_keep_the_level() -> None:
    # Signs with a little noise: t alone decides 7% of eight seeds.
    runs, rng = 600, np.random.default_rng(11)
    shape = (runs, 1, LOOKS[-1])
    values = np.where(rng.random(shape) < 0.5, 1.0, -1.0) * (1 + 1e-3 * rng.random(shape))
    found = [settle(list(x), GREATER, Looks((8, 11, 15), spending="pocock")) for x in values]
    wrong = sum(each.decision.outcome != "undecided" for each in found) / runs
    assert wrong <= most(0.05, runs)


def test_a_claim_with_one_false_comparison_is_rarely_supported() -> None:
    # The union test's worst case: all others have an effect.
    runs = 500
    shares, _ = simulate([0.0, 3.0, 3.0], runs, seed=2)
    assert shares.get("supported", 0) <= most(ALPHA, runs)


def test_a_true_claim_is_rarely_refuted_by_any_of_its_comparisons() -> None:
    # At effects of zero "at least zero" is just true; Holm's correction goes with the looks.
    runs = 250
    shares, _ = simulate([0.0] * 4, runs, seed=3)
    assert shares.get("refuted", 0) <= most(ALPHA, runs)


def test_equality_just_missed_is_rarely_supported() -> None:
    runs = 500
    shares, _ = simulate([1.0], runs, Question("equal", margin=1.0), seed=4)
    assert shares.get("supported", 0) <= most(ALPHA, runs)


# Effect in standard deviations, share supported, mean seeds instead of 15; thousands of runs once.
@pytest.mark.parametrize(
    ("effect", "power", "seeds"), [(1.0, 0.82, 9.79), (2.0, 1.0, 6.10), (3.0, 1.0, 5.10)]
)
def test_what_it_saves_against_fifteen_seeds(effect: float, power: float, seeds: float) -> None:
    shares, used = simulate([effect], 400, seed=5)
    assert shares["supported"] == pytest.approx(power, abs=0.06)
    assert used == pytest.approx(seeds, abs=0.6)
    assert "refuted" not in shares


def test_only_open_comparisons_go_on() -> None:
    rng = np.random.default_rng(6)
    sure = 5 + rng.standard_normal(15) * 0.1
    open_ = np.array([1.2, -0.1, 0.9, 0.2, 1.0])
    found = settle([sure[:5], open_], GREATER, RULE)
    assert found.decision.outcome == "undecided"
    assert found.following == (None, 8)
    assert found.look == 5


def test_a_hopeless_comparison_stops_those_that_need_it() -> None:
    hopeless = np.array([1.0, -1.0, 0.1, -0.1, 0.0])
    open_ = np.array([1.2, -0.1, 0.9, 0.2, 1.0])
    found = settle([hopeless, open_], GREATER, RULE)
    assert found.following == (None, None)
    assert found.chances[0] < WORTH < found.chances[1]
    assert settle([hopeless, open_], GREATER, RULE, every=True).following == (8, 8)
    # One of two is enough here: the other is no hindrance.
    quorum = Question("greater", quorum=1)
    assert settle([hopeless, open_], quorum, RULE).following == (None, 8)


def test_what_points_the_other_way_goes_on_alone_to_refute() -> None:
    against = -np.array([1.2, -0.1, 0.9, 0.2, 1.0])
    promising = np.array([1.2, -0.1, 0.9, 0.2, 1.0])
    found = settle([against, promising], GREATER, RULE)
    assert found.following == (8, None)


def test_a_decision_stands_whatever_follows() -> None:
    x = np.array([1.0, 1.2, 0.9, 1.1, 1.0])
    assert settle([x], GREATER, RULE).decision.outcome == "supported"
    later = np.concatenate([x, [-30.0, 20.0, -40.0]])
    found = settle([later], GREATER, RULE)
    assert (found.decision.outcome, found.look, found.following) == ("supported", 5, (None,))
    assert found.level == levels(RULE)[0]


def test_seeds_between_looks_do_not_count() -> None:
    x = np.array([1.2, -0.1, 0.9, 0.2, 1.0, 9.0, 9.0])
    found, before = settle([x], GREATER, RULE), settle([x[:5]], GREATER, RULE)
    assert found == before
    assert [reached(RULE, n) for n in (0, 4, 5, 7, 8, 99)] == [0, 0, 5, 5, 8, 15]


def test_before_the_first_look_nothing_is_known_and_seeds_are_wanted() -> None:
    found = settle([[3.0, 3.1, 3.2]], GREATER, RULE)
    assert (found.decision.outcome, found.look, found.level) == ("undecided", 0, 0.0)
    assert found.following == (5,)
    assert found.decision.tests[0].estimate.half_width is None


def test_after_the_last_look_nothing_goes_on() -> None:
    x = np.resize([1.0, -1.0, 0.5], 15)
    found = settle([x], GREATER, RULE, every=True)
    assert (found.decision.outcome, found.look, found.following) == ("undecided", 15, (None,))


def test_the_interval_is_that_of_its_look() -> None:
    x = np.array([0.4, 1.1, 0.2, 0.9, 0.7, 5.0])
    estimate = settle([x], GREATER, RULE).decision.tests[0].estimate
    low, high = stats.t.interval(1 - levels(RULE)[0], 4, x[:5].mean(), stats.sem(x[:5]))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_a_sequential_p_is_the_level_at_which_the_looks_would_have_decided() -> None:
    rng = np.random.default_rng(7)
    for _ in range(6):
        x = rng.standard_normal(15) + 0.6
        p = sequential_sides(x, RULE).t.p_two_sided
        if 1e-6 < p < 0.9:
            for alpha, decided in ((p * 0.97, False), (p * 1.03, True)):
                at = zip(LOOKS, levels(Looks(LOOKS, alpha, "pocock")), strict=True)
                assert (
                    any(stats.ttest_1samp(x[:n], 0).pvalue <= level for n, level in at) is decided
                )


def test_a_sequential_p_of_one_look_is_that_of_the_t_test() -> None:
    x = np.array([0.4, 1.1, 0.2, 0.9, 0.7])
    for margin in (0.0, 0.3, 1.0):
        found = sequential_sides(x, Looks((5,), spending="pocock"), margin).both
        expected = stats.ttest_1samp(x, margin, alternative="greater").pvalue
        assert found.p_greater == pytest.approx(expected, rel=0.01)


def test_equal_values_speak_by_sign_flips() -> None:
    # 2⁻⁵ each side at five seeds, 2⁻⁸ at eight: below the one-sided share of that look.
    assert sequential_sides(np.full(5, 0.3), RULE).both.p_greater > ALPHA
    assert sequential_sides(np.full(8, 0.3), RULE).both.p_greater <= ALPHA
    assert sequential_sides(np.zeros(15), RULE).both.p_greater == 0.5


def test_a_value_that_is_not_finite_ends_the_looks() -> None:
    x = np.array([1.0, 1.2, 0.9, 1.1, 1.0, math.nan, 1.0, 1.0])
    assert sequential_sides(x, RULE) == sequential_sides(x[:5], RULE)
    assert sequential_sides([math.nan] * 8, RULE).both.n == 0


samples = st.lists(
    st.lists(st.integers(-30, 30).map(lambda v: v / 10), min_size=2, max_size=15),
    min_size=1,
    max_size=4,
)
questions = st.builds(
    Question, st.sampled_from(["greater", "less", "equal"]), st.sampled_from([0.1, 1.0])
)


@settings(max_examples=30, deadline=None)
@given(samples, questions, st.booleans())
def test_seeds_go_to_open_comparisons_of_open_claims_at_the_next_look(
    given_: list[list[float]], question: Question, every: bool
) -> None:
    found = settle(given_, question, RULE, every=every)
    for values, to, test in zip(given_, found.following, found.decision.tests, strict=True):
        if to is not None:
            assert found.decision.outcome == "undecided"
            assert to == min(n for n in LOOKS if n > len(values))
            assert not (test.holds and test.fails)
    assert found.decision.outcome != "supported" or found.decision.p_support <= ALPHA


@settings(max_examples=30, deadline=None)
@given(samples, questions)
def test_mirrored_values_have_the_mirrored_verdict(
    given_: list[list[float]], question: Question
) -> None:
    if question.expect == "equal":
        mirrored = question
    else:
        other = "less" if question.expect == "greater" else "greater"
        mirrored = Question(other, question.margin)  # type: ignore[arg-type]
    found = settle(given_, question, RULE)
    again = settle([[-v for v in values] for values in given_], mirrored, RULE)
    assert again.decision.outcome == found.decision.outcome
    assert again.following == found.following
