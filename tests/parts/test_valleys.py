"""The least ratio on a grid of distances and noise, and the few points asked for to find it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.parts.valleys import Least, bisected, least


def _by_hand(distances, deviations, passing) -> Least | None:
    """Every point that passes, one after the other."""
    points = [
        ((distances[i] / deviations[k]) ** 2, i, k)
        for i in range(len(distances))
        for k in range(len(deviations))
        if passing[i, k]
    ]
    if not points:
        return None
    value = min(points)[0]
    tied = [(i, k) for v, i, k in points if v <= value * (1 + 1e-9)]
    row = min(tied)[0]
    if value == 0:
        tied = [(i, k) for i, k in tied if i == row]
    return Least(value, row, max(k for i, k in tied if i == row), len(tied))


def test_bisection_finds_what_the_whole_grid_has_where_errors_rise_with_noise() -> None:
    draw = np.random.default_rng(0)
    asked = whole = zeros = ties = 0
    for case in range(400):
        rows, columns = draw.integers(1, 9), draw.integers(1, 12)
        deviations = 2.0 ** np.arange(columns)
        # On a bent path a later point may be nearer to the start; powers of two tie.
        distances = 2.0 ** draw.integers(0, 4, rows)
        distances[: case % 3] = 0
        passing = np.arange(columns) < draw.integers(0, columns + 1, rows)[:, None]

        def passes(row: int, column: int, passing: np.ndarray = passing) -> bool:
            nonlocal asked
            asked += 1
            return bool(passing[row, column])

        found = least(distances, deviations, bisected(distances, deviations, passes))
        assert found == least(distances, deviations, passing)
        assert found == _by_hand(distances, deviations, passing)
        whole += passing.size
        zeros += found is not None and found.value == 0
        ties += found is not None and found.value > 0 and found.ties > 1
    assert zeros > 100
    assert ties > 30
    assert asked < whole / 3


def test_a_start_that_passes_ends_the_search() -> None:
    asked = []

    def passes(row: int, column: int) -> bool:
        asked.append((row, column))
        return column < 2

    distances, deviations = np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.3])
    found = least(distances, deviations, bisected(distances, deviations, passes))
    assert found == Least(0.0, row=0, column=1, ties=2)
    assert {row for row, _ in asked} == {0}


def test_equal_ratios_but_for_rounding_are_ties_and_the_lowest_row_is_told() -> None:
    distances, deviations = np.array([0.1, 0.3]), np.array([0.1, 0.3])
    assert 0.3 / 0.3 != 0.1 / 0.1 * (1 + 1e-12)
    passing = np.array([[True, False], [True, True]])
    assert least(distances, deviations, passing) == Least(pytest.approx(1.0), 0, 0, 2)


def test_there_is_none_where_nothing_passes() -> None:
    one = np.array([1.0])
    assert least(one, one, bisected(one, one, lambda row, column: False)) is None
