"""The seconds left, against sums done by hand."""

from __future__ import annotations

import pytest

from bench.scheduling.estimate import Estimate
from bench.spec.cell import PlannedCell
from tests.records.built import cell


def planned(seed: int, dataset: str = "glyphs", method: str = "l2", level: int = 0) -> PlannedCell:
    return PlannedCell(cell(seed, dataset=dataset), {"method": method}, seed, level)


def test_without_measurements_nothing_is_said() -> None:
    assert Estimate([planned(0)], slots=2).left() is None


def test_equal_cells_share_the_slots() -> None:
    cells = [planned(seed) for seed in range(10)]
    estimate = Estimate(cells, slots=4)
    for done in cells[:2]:
        estimate.measured(done, 6.0)
        estimate.finished(done)
    assert estimate.left() == pytest.approx(8 * 6.0 / 4)
    # Two cells have been running for 3 seconds each.
    assert estimate.left(elapsed=6.0) == pytest.approx((8 * 6.0 - 6.0) / 4)


def test_a_cell_is_guessed_from_its_nearest_group() -> None:
    done = [planned(0, "glyphs", "l2"), planned(1, "glyphs", "delta"), planned(2, "dogs", "l2")]
    rest = [
        planned(3, "glyphs", "delta"),
        planned(4, "glyphs", "bss"),
        planned(5, "cars", "l2"),
    ]
    estimate = Estimate([*done, *rest], slots=1)
    for one, seconds in zip(done, (10.0, 30.0, 80.0), strict=True):
        estimate.measured(one, seconds)
        estimate.finished(one)
    # glyphs with delta; glyphs with any method; anything.
    assert estimate.left() == pytest.approx(30.0 + 20.0 + 40.0)


def test_levels_follow_each_other_and_last_as_long_as_their_longest_cell() -> None:
    done = planned(0)
    rest = [planned(1), planned(2, level=1), planned(3, level=1), planned(4, level=1)]
    estimate = Estimate([done, *rest], slots=2)
    estimate.measured(done, 10.0)
    estimate.finished(done)
    # One cell cannot use two slots: 10; then three on two slots: 15.
    assert estimate.left() == pytest.approx(25.0)
    estimate.finished(rest[0])
    assert estimate.left() == pytest.approx(15.0)
    estimate.reopened(rest[0])
    assert estimate.left() == pytest.approx(25.0)


def test_at_the_end_nothing_is_left() -> None:
    estimate = Estimate([planned(0)], slots=1)
    estimate.measured(planned(0), 5.0)
    estimate.finished(planned(0))
    assert estimate.left(elapsed=3.0) == 0.0
