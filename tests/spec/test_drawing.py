"""Candidates of a search: how many, which, and that each follows from what is written alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.drawing import Draw, Multiple, RandomDraw, Range, dimension, drawn

AXES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True).map(tuple),
    min_size=1,
    max_size=3,
)
ENDS = st.tuples(st.floats(1e-6, 1.0), st.floats(2.0, 1e4))


def at_random(trials: int, seed: int = 0) -> Draw:
    return Draw(random=RandomDraw(trials=trials, seed=seed))


@given(AXES)
def test_a_grid_has_every_combination_once_in_the_order_written(space):
    found = drawn(space, "grid")
    assert len(found) == math.prod(map(len, space.values()))
    assert len({tuple(c.values()) for c in found}) == len(found)
    # The place of each value in its list, read as digits, goes up by one each time.
    for number, candidate in enumerate(found):
        at = 0
        for axis, values in space.items():
            at = at * len(values) + values.index(candidate[axis])
        assert at == number


@given(ENDS, st.integers(1, 40), st.integers(0, 5))
def test_random_values_stay_within_their_range_and_all_differ(ends, trials, seed):
    for name in ("uniform", "log-uniform"):
        found = drawn({"rate": dimension({name: list(ends)})}, at_random(trials, seed))
        values = [candidate["rate"] for candidate in found]
        assert len(set(values)) == len(values) == trials
        # Four digits: an end may be rounded beyond itself by half of the last.
        assert all(ends[0] * 0.999 <= value <= ends[1] * 1.001 for value in values)


@given(st.integers(2, 30), st.integers(0, 5))
def test_more_trials_and_more_axes_leave_the_first_ones_as_they_are(trials, seed):
    rate, weight = Range(uniform=(0.0, 1.0)), Range(**{"log-uniform": (1e-4, 1.0)})
    few = drawn({"rate": rate}, at_random(trials - 1, seed))
    many = drawn({"weight": weight, "rate": rate}, at_random(trials, seed))
    assert [c["rate"] for c in many[:-1]] == [c["rate"] for c in few]


def test_random_values_are_spread_evenly_in_their_logarithm():
    found = drawn({"rate": dimension({"log-uniform": [1e-4, 1.0]})}, at_random(4000))
    shares = [math.log10(candidate["rate"]) / 4 + 1 for candidate in found]
    # A uniform number's mean is a half, and its deviation the root of a twelfth: 0.005 of the mean.
    assert abs(sum(shares) / len(shares) - 0.5) < 0.02
    for quarter in range(4):
        assert abs(sum(quarter / 4 <= s < (quarter + 1) / 4 for s in shares) - 1000) < 120


def test_another_seed_draws_other_values():
    space = {"rate": Range(uniform=(0.0, 1.0))}
    assert drawn(space, at_random(5, 0)) != drawn(space, at_random(5, 1))


@pytest.mark.parametrize("draw", ["grid", at_random(3)])
def test_a_multiple_follows_its_axis_in_decimals(draw):
    space = {"slow": Multiple(of="rate", times=0.1), "rate": (0.1, 0.3, 0.7)}
    for candidate in drawn(space, draw):
        assert candidate["slow"] == round(candidate["rate"] / 10, 9)
        assert list(candidate) == ["slow", "rate"]
    assert {c["slow"] for c in drawn(space, draw)} == {0.01, 0.03, 0.07}


@pytest.mark.parametrize(
    ("space", "draw", "why"),
    [
        ({"rate": Range(uniform=(0.0, 1.0))}, "grid", "rate is a range, and a grid has values"),
        ({"slow": Multiple(of="rate", times=0.1)}, "grid", "of rate, which is not searched"),
        ({"word": ("a", "b")}, at_random(3), "3 different candidates .* the space has 2"),
        ({"word": ("a",), "m": Multiple(of="word", times=2)}, "grid", "'a' is no number"),
    ],
)
def test_what_cannot_be_drawn_is_told(space, draw, why):
    with pytest.raises(ValueError, match=why):
        drawn(space, draw)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ([], "is a list of values"), ([[1]], "is a list of values"), ([1, 1], "twice"),
        ({"uniform": [1, 0]}, "no range"), ({"uniform": [0, 1], "log-uniform": [1, 2]}, "either"),
        ({"log-uniform": [0, 1]}, "greater than 0"), ({"of": "rate"}, "times"),
    ],
)  # fmt: skip
def test_what_is_no_axis_is_told(written, why):
    with pytest.raises(ValueError, match=why):
        dimension(written)
