"""What settling a suite's claims adds next: comparisons, seeds, cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.report.claims.compared import Compared
from bench.report.claims.further import Further
from bench.report.claims.verdict import Verdict
from bench.spec.cell import PlannedCell

_FIRST = (3, 5, 8, 11, 15)


@dataclass(frozen=True)
class Addition:
    """Seeds that a comparison gets.

    Attributes
    ----------
    to
        Number of seeds at its next look.
    chance
        That the comparison is decided by the last look, if it goes on as it does.
    cells
        Those of both sides that are not done; their parents are not among them.
    """

    verdict: Verdict
    compared: Compared
    to: int
    chance: float
    cells: tuple[PlannedCell, ...]


def schedule(own: int, most: int) -> tuple[int, ...]:
    """Return the numbers of seeds at which to look: the suite's own, then ever wider apart.

    Fixed by the suite and the largest number alone, never by results.

    >>> schedule(5, 15), schedule(1, 10), schedule(5, 30)
    ((5, 8, 11, 15), (3, 5, 8, 10), (5, 8, 11, 15, 20, 27, 30))
    """
    looks = [*_FIRST]
    while looks[-1] < most:
        looks.append(-(-4 * looks[-1] // 3))
    first = [own] if own >= 2 else []
    return tuple(dict.fromkeys([*first, *(n for n in looks if own < n < most), most]))


def additions(found: Iterable[Verdict], further: Further) -> list[Addition]:
    """Return what the next looks need, claim by claim; nothing where nothing is to be added.

    A comparison whose cells are all done and have no value gets none: seeds would not help.
    """
    wanted = []
    for verdict in found:
        if verdict.settled is None:
            continue
        settled = verdict.settled
        for compared, to, chance in zip(
            verdict.compared, settled.following, settled.chances, strict=True
        ):
            if to is None:
                continue
            cells = {p.cell.id: p for _, place in compared.terms for p in further.cells(place, to)}
            if cells:
                wanted.append(Addition(verdict, compared, to, chance, tuple(cells.values())))
    return wanted


def with_parents(cells: Iterable[PlannedCell], further: Further) -> list[PlannedCell]:
    """Return cells with all that they start from, in the plan's order."""
    parents = {planned.cell.id: planned.cell.parents for planned in further.results.plan.cells}
    wanted: set[str] = set()
    todo = [planned.cell.id for planned in cells]
    while todo:
        cell_id = todo.pop()
        if cell_id not in wanted:
            wanted.add(cell_id)
            todo += (parent.id for parent in parents[cell_id].values())
    return [planned for planned in further.results.plan.cells if planned.cell.id in wanted]


def to_run(added: Sequence[Addition], further: Further) -> list[PlannedCell]:
    """Return the cells of additions that are not done, each once, parents before children."""
    cells = with_parents((cell for addition in added for cell in addition.cells), further)
    found: dict[str, PlannedCell] = {}
    for planned in cells:
        if further.results.state(planned.cell.id) != "done":
            found.setdefault(planned.cell.id, planned)
    return list(found.values())
