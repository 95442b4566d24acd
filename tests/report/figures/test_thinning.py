"""Fewer points draw the same line: nothing sharp is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.figures.thinning import extremes


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 900), st.integers(0, 2**32 - 1), st.sampled_from([8, 40, 400]))
def test_what_is_kept_spans_what_was_there(n: int, seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.choice(10 * n, n, replace=False)).astype(float)
    y = rng.normal(size=n)
    kept = extremes(x, y, most)
    assert len(kept) <= max(most, 0) or n <= most
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, n - 1)
    assert (y[kept].min(), y[kept].max()) == (y.min(), y.max())


def test_a_drop_of_one_step_survives() -> None:
    y = np.full(9000, 0.8)
    y[4321] = 0.1
    kept = extremes(np.arange(9000.0), y, 400)
    assert 4321 in kept
    assert len(kept) <= 400


def test_a_short_line_is_left_alone() -> None:
    assert extremes(np.arange(10.0), np.zeros(10), 10).tolist() == list(range(10))
