"""Which cells to begin with: those whose work, and that of what starts from them, lasts longest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bench.records.store import CellState
from bench.scheduling.estimate import Estimate
from bench.spec.cell import PlannedCell


def guess(
    cells: Iterable[PlannedCell], states: Mapping[str, CellState]
) -> Callable[[PlannedCell], float]:
    """Return how long a cell is guessed to take, in seconds if any cell has a done record.

    Where none has, a training counts as its number of steps and a measurement as one.
    """
    estimate, known = Estimate((), slots=1), False
    for planned in cells:
        record = states[planned.cell.id].record
        # By other code it took about as long.
        if record is not None and record.outcome.status == "done":
            estimate.measured(planned, record.seconds)
            known = True
    return estimate.mean if known else _steps


def ways(
    cells: Mapping[str, PlannedCell], lasting: Callable[[PlannedCell], float]
) -> dict[str, float]:
    """Return how long the longest way from each cell's start to an end lasts.

    Parameters
    ----------
    cells
        By id, parents before children.
    """
    longest: dict[str, float] = {}
    for cell_id, planned in reversed(list(cells.items())):
        longest[cell_id] = own = longest.get(cell_id, 0.0) + lasting(planned)
        for parent in planned.cell.parents.values():
            longest[parent.id] = max(longest.get(parent.id, 0.0), own)
    return longest


def _steps(planned: PlannedCell) -> float:
    recipe = planned.cell.recipe
    return float(recipe.steps) if recipe is not None else 1.0
