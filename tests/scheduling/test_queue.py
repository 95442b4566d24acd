"""Parents first, then the plan's order; a failed parent takes all that start from it along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SpecError
from bench.scheduling.queue import Queue
from bench.spec.cell import Parent, PlannedCell
from tests.records.built import cell, planned


def chain(*parents: int | None) -> list[PlannedCell]:
    """Return cells of which each starts from the one with the given number, if any."""
    cells: list[PlannedCell] = []
    for number, parent in enumerate(parents):
        roles = {} if parent is None else {"start": Parent(cells[parent].cell.id)}
        cells.append(planned(cell(number, parents=roles)))
    return cells


def ids(cells: list[PlannedCell], *numbers: int) -> list[str]:
    return [cells[number].cell.id for number in numbers]


def taken(queue: Queue) -> list[str]:
    found = []
    while (cell_id := queue.next()) is not None:
        found.append(cell_id)
    return found


def test_cells_come_in_the_plans_order() -> None:
    cells = chain(None, None, None)
    queue = Queue(cells)
    queue.open([])
    assert taken(queue) == ids(cells, 0, 1, 2)


def test_the_longest_come_first_and_those_of_one_length_in_the_plans_order() -> None:
    cells = chain(None, None, None, None)
    queue = Queue(cells)
    queue.prefer(dict(zip(queue.cells, (1.0, 2.0, 5.0, 2.0), strict=True)))
    queue.open([])
    assert taken(queue) == ids(cells, 2, 1, 3, 0)


def test_a_parent_comes_before_its_child_wherever_it_stands() -> None:
    cells = chain(None, None, 1, 2)
    queue = Queue([cells[3], cells[0], cells[2], cells[1]])
    assert list(queue.cells) == ids(cells, 1, 2, 3, 0)


def test_a_child_waits_for_its_parent() -> None:
    cells = chain(None, 0, None)
    queue = Queue(cells)
    queue.open([])
    assert taken(queue) == ids(cells, 0, 2)
    queue.done(cells[0].cell.id)
    assert taken(queue) == ids(cells, 1)
    for planned_cell in cells[1:]:
        queue.done(planned_cell.cell.id)
    assert queue.unfinished == 0


def test_what_is_done_is_not_handed_out() -> None:
    cells = chain(None, 0)
    queue = Queue(cells)
    queue.open(ids(cells, 0))
    assert taken(queue) == ids(cells, 1)


def test_a_cell_of_two_suites_is_done_once() -> None:
    cells = chain(None)
    queue = Queue([*cells, *cells])
    queue.open([])
    assert taken(queue) == ids(cells, 0)


def test_a_failed_parent_fails_all_its_descendants_at_once() -> None:
    cells = chain(None, 0, 1, None)
    queue = Queue(cells)
    queue.open([])
    taken(queue)
    assert queue.failed(cells[0].cell.id) == ids(cells, 1, 2)
    assert queue.unfinished == 1
    assert queue.failed_parent(cells[1].cell.id) == cells[0].cell.id


def test_a_cell_put_back_is_handed_out_again() -> None:
    cells = chain(None, None)
    queue = Queue(cells)
    queue.open([])
    taken(queue)
    queue.again(cells[0].cell.id)
    assert taken(queue) == ids(cells, 0)


def test_a_cell_that_needs_its_device_alone_is_handed_out_only_so() -> None:
    cells = chain(None, None)
    queue = Queue(cells)
    queue.open([])
    first = queue.next()
    assert first is not None
    queue.again(first, "cuda:1")
    assert taken(queue) == ids(cells, 1)
    assert queue.next_alone() == (first, "cuda:1")
    queue.take_alone(first)
    assert queue.next_alone() is None
    assert queue.place(first) == "running"


def test_a_reopened_parent_runs_again_before_its_children() -> None:
    cells = chain(None, 0, 0)
    queue = Queue(cells)
    queue.open(ids(cells, 0))
    child = queue.next()
    assert child == cells[1].cell.id
    queue.reopen(cells[0].cell.id)
    queue.again(child)
    assert taken(queue) == ids(cells, 0)
    queue.done(cells[0].cell.id)
    assert taken(queue) == ids(cells, 1, 2)


def test_a_parent_that_is_not_in_the_plan_is_an_error() -> None:
    with pytest.raises(SpecError, match="start parent"):
        Queue(chain(None, 0)[1:])


@given(
    st.lists(st.integers(0, 30), max_size=30).map(lambda n: [min(p, i) for i, p in enumerate(n)]),
    st.randoms(use_true_random=False),
)
def test_every_cell_is_handed_out_once_and_after_its_parents(
    parents: list[int], chance: object
) -> None:
    cells = chain(*[None if p == i else p for i, p in enumerate(parents)])
    shuffled = list(cells)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    queue = Queue(shuffled)
    queue.open([])
    seen: list[str] = []
    while queue.unfinished:
        batch = taken(queue)
        assert batch
        for cell_id in batch:
            above = {parent.id for parent in queue.cells[cell_id].cell.parents.values()}
            assert above <= set(seen)
        for cell_id in batch:
            queue.done(cell_id)
            seen.append(cell_id)
    assert sorted(seen) == sorted(queue.cells)


def test_what_does_not_fit_is_passed_and_keeps_its_place() -> None:
    cells = chain(None, None, None)
    queue = Queue(cells)
    queue.open([])
    first, second, third = ids(cells, 0, 1, 2)
    asked: list[str] = []

    def fits(cell_id: str) -> bool:
        asked.append(cell_id)
        return cell_id == second

    assert queue.next(fits) == second
    assert asked == [first, second]
    assert queue.next(fits) is None
    assert queue.place(first) == queue.place(third) == "ready"
    assert taken(queue) == [first, third]


def test_one_that_must_be_alone_may_have_to_wait() -> None:
    cells = chain(None, None)
    queue = Queue(cells)
    queue.open([])
    first, second = taken(queue)
    queue.again(first, "cuda:0")
    queue.again(second, "cuda:1")
    assert queue.next_alone() == (first, "cuda:0")
    assert queue.next_alone(lambda cell_id: cell_id != first) == (second, "cuda:1")
    assert queue.next_alone(lambda _: False) is None
