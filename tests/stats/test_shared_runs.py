"""Values of pairs of runs: what an interval takes for independent, and what is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.stats.intervals import mean_interval

MEAN, TRIALS, SEEDS = 3.0, 4000, 5


def coverage(pairs: list[tuple[int, int]]) -> float:
    """Return how often the 95% interval over pairs holds the expected value of a pair.

    A pair's value is the mean, plus what each of its runs adds (σ = 1; the same in every pair
    that the run is in), plus what is the pair's own (σ = 0.5).
    """
    draw = np.random.default_rng(11)
    runs = draw.normal(size=(TRIALS, 2 * SEEDS))
    first, second = np.array(pairs).T
    own = 0.5 * draw.normal(size=(TRIALS, len(pairs)))
    intervals = map(mean_interval, MEAN + runs[:, first] + runs[:, second] + own)
    return float(np.mean([each.low <= MEAN <= each.high for each in intervals]))


def test_an_interval_over_pairs_that_share_no_run_covers_at_its_level() -> None:
    disjoint = [(seed, seed + SEEDS) for seed in range(SEEDS)]
    # Three standard errors of a share of 4000.
    assert coverage(disjoint) == pytest.approx(0.95, abs=0.0104)


def test_an_interval_over_pairs_that_share_runs_does_not() -> None:
    every = list(combinations(range(2 * SEEDS), 2))
    assert coverage(every) < 0.6
    assert coverage([(seed, seed + 1) for seed in range(SEEDS)]) < 0.9
