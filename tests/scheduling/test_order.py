"""The longest way to an end begins first, by the seconds that the store knows or by steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.records.store import MISSING, CellState
from bench.scheduling.order import guess, ways
from bench.spec.cell import Parent, PlannedCell
from bench.spec.recipe import Recipe
from tests.records.built import cell, measurement, planned, record


def by_id(*cells: PlannedCell) -> dict[str, PlannedCell]:
    return {each.cell.id: each for each in cells}


def test_a_way_is_as_long_as_the_longest_through_its_children() -> None:
    stage = planned(cell(1))
    start = {"start": Parent(stage.cell.id)}
    short, long = planned(cell(2, parents=start), 1), planned(cell(3, parents=start), 1)
    last = planned(cell(4, parents={"start": Parent(long.cell.id)}), 2)
    alone = planned(cell(5))
    lasting = {1: 10.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 16.0}
    found = ways(by_id(stage, short, long, last, alone), lambda each: lasting[each.cell.seed])
    assert [found[each.cell.id] for each in (stage, short, long, last, alone)] == [
        17.0, 2.0, 7.0, 4.0, 16.0,
    ]  # fmt: skip


def test_without_records_a_training_lasts_as_long_as_its_steps() -> None:
    cells = [planned(cell(recipe=Recipe(steps=n))) for n in (5, 70)] + [planned(measurement())]
    lasting = guess(cells, {each.cell.id: MISSING for each in cells})
    assert [lasting(each) for each in cells] == [5.0, 70.0, 1.0]


@pytest.mark.parametrize("state", ["done", "stale"])
def test_with_records_it_lasts_as_long_as_those_like_it(state: str) -> None:
    """Records of earlier code tell of time as well as any."""
    quick, slow, new = (planned(cell(recipe=Recipe(steps=n))) for n in (900, 5, 7))
    slow = replace(slow, cell=cell(dataset="digits"))
    states = {each.cell.id: MISSING for each in (quick, slow, new)}
    for each, seconds in ((quick, 3.0), (slow, 40.0)):
        made = replace(record(each.cell), seconds=seconds)
        states[each.cell.id] = CellState(state, made)  # type: ignore[arg-type]
    lasting = guess([quick, slow, new], states)
    assert [lasting(each) for each in (quick, slow, new)] == [3.0, 40.0, 3.0]


def test_the_time_until_a_failure_says_nothing() -> None:
    one = planned(cell(recipe=Recipe(steps=8)))
    failed = CellState("failed", record(one.cell, status="failed"))
    assert guess([one], {one.cell.id: failed})(one) == 8.0
