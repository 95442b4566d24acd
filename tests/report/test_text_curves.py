"""Curves in characters: what is drawn is where it belongs, and nothing is wider than asked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records.record import Curve, Outcome
from bench.report.site.cell_curves import Group, groups
from bench.report.text_curves import text_curves
from tests.records.built import cell, record


def found(**curves: Curve) -> list[Group]:
    return groups(replace(record(cell()), outcome=Outcome("done", curves=curves)), {})


def test_a_straight_line_goes_from_corner_to_corner() -> None:
    (group,) = found(distance=Curve((0, 10, 20), (1.0, 2.0, 3.0)))
    lines = text_curves(group, 30, 5)
    assert lines[1].startswith("3 ┤")
    assert len(lines[1]) == 30
    assert lines[1].endswith("•")
    assert lines[5].startswith("1 ┤•")
    # Every column is marked, each once.
    columns = [i for line in lines[1:6] for i, c in enumerate(line) if c == "•"]
    assert sorted(columns) == list(range(3, 30))
    assert lines[7].split() == ["0", "step", "20"]
    assert lines[8] == "  • distance: 1 at 0, 3 at 20"


def test_curves_of_one_unit_are_drawn_together_with_marks_of_their_own() -> None:
    flat = {"train/loss": Curve((0, 8), (2.0, 2.0)), "train/cross_entropy": Curve((0, 8), (1, 1))}
    (group,) = found(**flat)
    title, high, *_, low, _, _, first, second = text_curves(group, 40)
    assert title == "training loss (nats)"
    assert set(high.partition("┤")[2]) == {"+"}
    assert set(low.partition("┤")[2]) == {"•"}
    assert first == "  • cross_entropy: 1 at 0, 1 at 8"
    assert second == "  + loss: 2 at 0, 2 at 8"


def test_a_wide_curve_is_on_a_logarithmic_scale_and_says_so() -> None:
    (group,) = found(ratio=Curve((0, 1, 2), (1.0, 100.0, 10_000.0)))
    lines = text_curves(group, 43, 3)
    assert lines[0] == "ratio, logarithmic"
    # By its logarithm the middle value is in the middle.
    assert "•" in lines[2].partition("┤")[2][15:22]
    assert (lines[1][:7], lines[3][:7]) == ("1e+04 ┤", "    1 ┤")


def test_a_gap_is_left_out_and_what_never_was_finite_is_no_group() -> None:
    (group,) = found(
        loss=Curve((0, 1, 2, 3), (math.nan, 5.0, math.inf, 5.0)), lost=Curve((0,), (math.nan,))
    )
    lines = text_curves(group, 40, 4)
    assert lines[-1] == "  • loss: nan at 0, 5 at 3"
    assert lines[-2].split() == ["1", "step", "3"]
    assert sum("•" in line for line in lines[1:5]) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=1, max_size=300),
    st.integers(30, 160),
    st.text(min_size=1, max_size=60).filter(str.isprintable),
)
def test_nothing_is_wider_than_asked_and_every_curve_is_seen(
    values: list[float], width: int, name: str
) -> None:
    (group,) = found(**{f"own/{name}": Curve(tuple(range(len(values))), tuple(values))})
    lines = text_curves(group, width)
    assert max(map(len, lines)) <= width
    assert any("•" in line for line in lines[1:9])


@pytest.mark.parametrize("name", ["anytime/test/top1", "anytime/validation/top1"])
def test_steps_of_anytime_curves_are_as_in_the_picture(name: str) -> None:
    (group,) = found(**{name: Curve((0, 1, 10, 1000), (0.0, 0.0, 1.0, 1.0))})
    assert group.checkpoints
    lines = text_curves(group, 63)
    assert "step (logarithmic)" in lines[-2]
    # log(11)/log(1001) is a third of the way.
    first = lines[1].partition("┤")[2].index("•")
    assert first / 60 == pytest.approx(1 / 3, abs=0.05)
