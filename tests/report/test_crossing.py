"""Where one curve first reaches a value, and what another one is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records.record import Curve
from bench.report.crossing import Undefined, value_where

# Tenths of a percent, as of a split of a thousand rows: ties and exact hits happen.
SHARES = st.integers(0, 1000).map(lambda n: n / 1000)
PATHS = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=12)


def curves(path: list[tuple[float, float]], steps: list[int] | None = None) -> tuple[Curve, Curve]:
    """Return the old and the new curve of a path of (new, old), a point a step."""
    at = tuple(range(len(path))) if steps is None else tuple(steps)
    return Curve(at, tuple(old for _, old in path)), Curve(at, tuple(new for new, _ in path))


def read(path: list[tuple[float, float]], value: float) -> float | Undefined:
    return value_where(*curves(path), value, rising=True)


def same(first: float | Undefined, second: float | Undefined) -> bool:
    if isinstance(first, Undefined) or isinstance(second, Undefined):
        return first == second
    return first == pytest.approx(second, abs=1e-9)


def test_it_is_read_on_the_line_between_two_validations() -> None:
    # 0.4 is three quarters of the way from 0.1 to 0.5.
    assert read([(0.1, 1.0), (0.5, 0.8)], 0.4) == pytest.approx(0.85)


def test_a_curve_that_falls_back_is_read_where_it_first_got_there() -> None:
    path = [(0.1, 1.0), (0.5, 0.8), (0.2, 0.3), (0.9, 0.1)]
    assert read(path, 0.4) == pytest.approx(0.85)


@pytest.mark.parametrize("later", [[], [(0.2, 0.0)], [(0.3, 0.5), (0.29, 0.1)]])
def test_a_value_that_is_never_reached_has_no_reading(later: list[tuple[float, float]]) -> None:
    assert read([(0.1, 1.0), *later], 0.31) == Undefined("never reaches it")


def test_a_curve_that_begins_beyond_a_value_has_no_reading() -> None:
    # Also where it falls below and comes back: where it first was there, nobody saw.
    assert read([(0.5, 1.0), (0.1, 0.8), (0.6, 0.2)], 0.4) == Undefined("begins beyond it")
    assert read([(0.4, 1.0), (0.1, 0.8), (0.6, 0.2)], 0.4) == 1.0


def test_the_last_digit_of_one_less_an_accuracy_is_no_difference() -> None:
    error = 1.0 - 0.42
    assert error != 0.58
    assert read([(error, 0.7), (0.9, 0.1)], 0.58) == pytest.approx(0.7, abs=1e-6)
    assert read([(0.1, 0.9), (1 - 0.42 - 1e-15, 0.7)], 0.58) == pytest.approx(0.7, abs=1e-6)


def test_both_curves_need_a_point_at_the_steps_beside_it() -> None:
    new = Curve((0, 5, 10), (0.1, 0.5, 0.9))
    for at in ((0, 10), (5, 10), (0, 4, 6, 10), ()):
        old = Curve(at, tuple(1.0 - step / 10 for step in at))
        assert value_where(old, new, 0.3, rising=True) == Undefined("lacks a point beside it")
    # Where it is exactly at a point, that one is enough.
    assert value_where(Curve((5,), (0.7,)), new, 0.5, rising=True) == 0.7


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_gives_none(number: float) -> None:
    assert isinstance(read([(0.1, 1.0), (0.5, number)], 0.4), Undefined)
    assert isinstance(read([(float("nan"), 1.0), (0.5, 0.3)], 0.4), Undefined)


@given(
    st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=12, unique_by=lambda p: p[0]), SHARES
)
@settings(max_examples=200, deadline=None)
def test_of_a_rising_curve_it_is_numpys_interpolation_of_old_over_new(path, value):
    path.sort()
    new, old = np.array(path).T
    found = read(path, value)
    if new[0] <= value <= new[-1]:
        assert same(found, float(np.interp(value, new, old)))
    else:
        assert isinstance(found, Undefined)


@given(PATHS, PATHS, SHARES)
@settings(max_examples=200, deadline=None)
def test_what_happens_afterwards_changes_nothing(path, later, value):
    found = read(path, value)
    if not isinstance(found, Undefined) or found.why != "never reaches it":
        assert same(read([*path, *later], value), found)


@given(PATHS, SHARES)
@settings(max_examples=200, deadline=None)
def test_before_it_every_point_is_below_and_it_lies_between_two_neighbours(path, value):
    found = read(path, value)
    reached = [i for i, (new, _) in enumerate(path) if new >= value]
    if isinstance(found, Undefined):
        assert not reached or (reached[0] == 0 and path[0][0] > value)
        return
    i = reached[0]
    beside = [path[i][1]] if path[i][0] == value else [path[i - 1][1], path[i][1]]
    assert min(beside) - 1e-9 <= found <= max(beside) + 1e-9


@given(PATHS, SHARES, st.data())
@settings(max_examples=200, deadline=None)
def test_how_far_apart_steps_are_does_not_matter(path, value, data):
    gaps = data.draw(st.lists(st.integers(1, 50), min_size=len(path), max_size=len(path)))
    stretched = value_where(*curves(path, list(np.cumsum(gaps))), value, rising=True)
    assert same(stretched, read(path, value))


@given(PATHS, SHARES, st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=200, deadline=None)
def test_it_moves_with_the_old_curve(path, value, factor, shift):
    found = read(path, value)
    moved = read([(new, factor * old + shift) for new, old in path], value)
    if isinstance(found, Undefined):
        assert moved == found
    else:
        assert same(moved, factor * found + shift)


@given(PATHS, SHARES)
@settings(max_examples=200, deadline=None)
def test_a_loss_reaches_a_value_from_above_as_an_accuracy_does_from_below(path, value):
    old, new = curves(path)
    loss = Curve(new.at, tuple(-v for v in new.value))
    assert same(value_where(old, loss, -value, rising=False), read(path, value))
