"""The queue: which cell comes next. Knows the graph of cells; no store, no engine."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from bench.errors import SpecError
from bench.spec.cell import PlannedCell

Place = Literal["waiting", "ready", "running", "elsewhere", "done", "failed"]


class Queue:
    """Hands out cells whose parents are done, in the plan's order with parents first.

    Parameters
    ----------
    plan
        Cells of one or more suites; one that occurs twice is done once.

    Raises
    ------
    SpecError
        If a cell's parent is not in the plan.
    """

    def __init__(self, plan: Iterable[PlannedCell]) -> None:
        first: dict[str, PlannedCell] = {}
        for planned in plan:
            first.setdefault(planned.cell.id, planned)
        self.cells: dict[str, PlannedCell] = {}
        for planned in first.values():
            self._add_after_parents(planned, first)
        self._order = {cell_id: (0.0, number) for number, cell_id in enumerate(self.cells)}
        self._place: dict[str, Place] = dict.fromkeys(self.cells, "waiting")
        self.counts: dict[Place, int] = dict.fromkeys(
            ("waiting", "ready", "running", "elsewhere", "done", "failed"), 0
        )
        self.counts["waiting"] = len(self.cells)
        self._children: dict[str, list[str]] = {cell_id: [] for cell_id in self.cells}
        for cell_id, planned in self.cells.items():
            for parent in _parents(planned):
                self._children[parent].append(cell_id)
        self._heap: list[tuple[tuple[float, int], str]] = []
        self._alone: dict[str, str] = {}

    def _add_after_parents(self, planned: PlannedCell, plan: Mapping[str, PlannedCell]) -> None:
        if planned.cell.id in self.cells:
            return
        for role, parent in planned.cell.parents.items():
            if parent.id not in plan:
                raise SpecError(
                    f"the {role} parent {parent.id} of cell {planned.cell.id} is missing"
                )
            self._add_after_parents(plan[parent.id], plan)
        self.cells[planned.cell.id] = planned

    def prefer(self, lengths: Mapping[str, float]) -> None:
        """Let the longest come first, before anything is opened; ``lengths`` by id, of all."""
        for number, cell_id in enumerate(self.cells):
            self._order[cell_id] = (-lengths[cell_id], number)

    def shuffle(self, chance: random.Random) -> None:
        """Let cells that are as long as each other come in any order, before one is opened."""
        numbers = list(range(len(self.cells)))
        chance.shuffle(numbers)
        for (cell_id, (length, _)), number in zip(self._order.items(), numbers, strict=True):
            self._order[cell_id] = (length, number)

    def open(self, done: Iterable[str]) -> None:
        """Begin, with the cells that are done already."""
        for cell_id in done:
            self._move(cell_id, "done")
        for cell_id in self.cells:
            self._ready_if_possible(cell_id)

    @property
    def unfinished(self) -> int:
        """Number of cells that are neither done nor failed."""
        return len(self.cells) - self.counts["done"] - self.counts["failed"]

    def place(self, cell_id: str) -> Place:
        """Return where a cell is."""
        return self._place[cell_id]

    def at(self, place: Place) -> list[str]:
        """Return the cells at a place, in order."""
        if not self.counts[place]:
            return []
        return [cell_id for cell_id, where in self._place.items() if where == place]

    def next(self, fits: Callable[[str], bool] = lambda _: True) -> str | None:
        """Take the next ready cell that may share a device and ``fits``; it is now running."""
        passed = []
        try:
            while self._heap:
                entry = heapq.heappop(self._heap)
                cell_id = entry[1]
                if self._place[cell_id] != "ready" or cell_id in self._alone:
                    continue
                if fits(cell_id):
                    self._move(cell_id, "running")
                    return cell_id
                passed.append(entry)
            return None
        finally:
            for entry in passed:
                heapq.heappush(self._heap, entry)

    def awaited(self, cell_id: str) -> bool:
        """Return whether cells wait for this one."""
        return any(self._place[child] == "waiting" for child in self._children[cell_id])

    def next_alone(self, fits: Callable[[str], bool] = lambda _: True) -> tuple[str, str] | None:
        """Return the first cell that must run alone and ``fits``, and its device; take nothing."""
        return next(((cell, on) for cell, on in self._alone.items() if fits(cell)), None)

    def take_alone(self, cell_id: str) -> None:
        """Take a cell of :meth:`next_alone`; it is now running."""
        del self._alone[cell_id]
        self._move(cell_id, "running")

    def done(self, cell_id: str) -> None:
        """A cell is done: its children may start."""
        self._alone.pop(cell_id, None)
        self._move(cell_id, "done")
        for child in self._children[cell_id]:
            self._ready_if_possible(child)

    def again(self, cell_id: str, alone_on: str | None = None) -> None:
        """Put a cell back, to run alone on a device if one is given."""
        self._move(cell_id, "waiting")
        if alone_on is not None and self._parents_done(cell_id):
            self._move(cell_id, "ready")
            self._alone[cell_id] = alone_on
        else:
            self._ready_if_possible(cell_id)

    def elsewhere(self, cell_id: str) -> None:
        """Another runner is executing the cell."""
        self._alone.pop(cell_id, None)
        self._move(cell_id, "elsewhere")

    def failed(self, cell_id: str) -> list[str]:
        """A cell has failed for good: return its descendants, which have failed with it."""
        self._alone.pop(cell_id, None)
        self._move(cell_id, "failed")
        fallen = []
        for child in self._children[cell_id]:
            if self._place[child] in ("waiting", "ready"):
                fallen += [child, *self.failed(child)]
        return fallen

    def reopen(self, cell_id: str) -> None:
        """A done cell must run again: its artifact is gone. What starts from it waits."""
        self._move(cell_id, "waiting")
        for child in self._children[cell_id]:
            if self._place[child] == "ready":
                self._alone.pop(child, None)
                self._move(child, "waiting")
        self._ready_if_possible(cell_id)

    def failed_parent(self, cell_id: str) -> str | None:
        """Return a parent that has failed for good, if there is one."""
        parents = _parents(self.cells[cell_id])
        return next((parent for parent in parents if self._place[parent] == "failed"), None)

    def _parents_done(self, cell_id: str) -> bool:
        return all(self._place[parent] == "done" for parent in _parents(self.cells[cell_id]))

    def _ready_if_possible(self, cell_id: str) -> None:
        if self._place[cell_id] == "waiting" and self._parents_done(cell_id):
            self._move(cell_id, "ready")
            heapq.heappush(self._heap, (self._order[cell_id], cell_id))

    def _move(self, cell_id: str, place: Place) -> None:
        self.counts[self._place[cell_id]] -= 1
        self._place[cell_id] = place
        self.counts[place] += 1


def _parents(planned: PlannedCell) -> list[str]:
    """Return the ids of a cell's parents, each once."""
    return list(dict.fromkeys(parent.id for parent in planned.cell.parents.values()))
