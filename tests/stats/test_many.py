"""What is expected of many verdicts, by simulation and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.family import false_discovery, holm
from bench.stats.many import false_verdicts
from bench.stats.sides import ALPHA
from bench.stats.verdict import Question


def simulated(quorum: int | None, comparisons: int, runs: int = 40_000) -> float:
    """Share of verdicts of null comparisons: uniform p for, one minus that against."""
    p = np.random.default_rng(comparisons).random((runs, comparisons))
    needed = quorum or comparisons

    def passed(p: np.ndarray) -> np.ndarray:
        """How many Holm's steps let pass."""
        levels = ALPHA / (comparisons - np.arange(comparisons))
        return np.cumprod(np.sort(p, axis=1) <= levels, axis=1).sum(axis=1)

    supported = passed(p) >= needed if quorum else (p <= ALPHA).all(axis=1)
    refuted = passed(1 - p) >= comparisons - needed + 1
    return float((supported | refuted).mean())


@pytest.mark.parametrize(
    ("quorum", "comparisons"), [(None, 1), (None, 2), (None, 12), (1, 4), (3, 4), (4, 4), (59, 60)]
)
def test_the_rate_of_false_verdicts_is_that_of_a_simulation(
    quorum: int | None, comparisons: int
) -> None:
    # Standard error 0.1 points.
    expected = false_verdicts(Question("greater", quorum=quorum), comparisons)
    assert simulated(quorum, comparisons) == pytest.approx(expected, abs=0.004)


def test_one_comparison_has_both_sides_and_many_their_refutation_alone() -> None:
    assert false_verdicts(Question("greater"), 1) == pytest.approx(0.05)
    assert false_verdicts(Question("equal", margin=1.0), 1) == pytest.approx(0.05)
    assert false_verdicts(Question("less"), 12) == pytest.approx(0.025, abs=5e-4)
    # At the margin "below what matters" is true.
    assert false_verdicts(Question("greater", matters=1.0), 1) == pytest.approx(0.025)


def by_definition(p: list[float]) -> list[float]:
    """Benjamini and Yekutieli's q, from the definition: the smallest level that lets p pass."""
    m = len(p)
    harmonic = sum(1 / k for k in range(1, m + 1))
    ranked = sorted(p)
    at = [min(1.0, m * harmonic * value / rank) for rank, value in enumerate(ranked, 1)]
    return [min(at[ranked.index(value) :]) for value in p]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_false_discovery_rate_is_by_its_definition(p: list[float]) -> None:
    assert false_discovery(p) == pytest.approx(by_definition(p), rel=1e-9)


def test_what_was_not_tested_does_not_count() -> None:
    found = false_discovery([0.01, math.nan, 0.04])
    assert math.isnan(found[1])
    assert (found[0], found[2]) == false_discovery([0.01, 0.04])
    assert false_discovery([]) == ()
    with pytest.raises(ValueError, match="between 0 and 1"):
        false_discovery([1.5])


def test_few_of_the_discoveries_are_false_where_holm_finds_fewer() -> None:
    # 20 true effects among 200 claims, one shared component: dependent.
    rng, shares, found = np.random.default_rng(3), [], [0, 0]
    for _ in range(300):
        z = (rng.standard_normal(200) + rng.standard_normal()) / math.sqrt(2)
        z[:20] += 4
        p = [math.erfc(abs(v) / math.sqrt(2)) for v in z]
        q = np.array(false_discovery(p))
        hits = q <= 0.05
        shares.append(hits[20:].sum() / max(hits.sum(), 1))
        found = [found[0] + int(hits[:20].sum()), found[1] + sum(v <= 0.05 for v in holm(p)[:20])]
    assert np.mean(shares) <= 0.05
    assert found[0] >= found[1] > 0
