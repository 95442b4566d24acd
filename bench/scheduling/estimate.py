"""How long the rest will take, from the seconds of the cells that have ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from bench.spec.cell import PlannedCell

Group = tuple[str, ...]


def groups(planned: PlannedCell) -> tuple[Group, ...]:
    """Return the groups a cell's time may be guessed from, the nearest first."""
    cell = planned.cell
    rates = "+".join(str(task.sampling_rate) for task in cell.tasks.values())
    method = str(planned.place.get("method", planned.name))
    nearest = (cell.kind, cell.backbone, cell.dataset, rates, method)
    return (nearest, nearest[:4], nearest[:3], nearest[:1], ())


class Estimate:
    """Estimates the seconds left.

    A cell is guessed to take the mean of the nearest group that has one. Levels are taken as done
    one after the other, each lasting as long as its work over the slots, and no less than its
    longest cell.

    Parameters
    ----------
    remaining
        Cells that are not done.
    slots
        Cells at once.
    """

    def __init__(self, remaining: Iterable[PlannedCell], slots: int) -> None:
        self._slots = slots
        self._levels: dict[int, Counter[tuple[Group, ...]]] = defaultdict(Counter)
        self._seconds: dict[Group, float] = defaultdict(float)
        self._count: dict[Group, int] = defaultdict(int)
        for planned in remaining:
            self._levels[planned.level][groups(planned)] += 1

    def measured(self, planned: PlannedCell, seconds: float) -> None:
        """Learn from a cell that was executed to its end."""
        for group in groups(planned):
            self._seconds[group] += seconds
            self._count[group] += 1

    def finished(self, planned: PlannedCell) -> None:
        """Take a cell off what remains, however it ended."""
        self._levels[planned.level][groups(planned)] -= 1

    def reopened(self, planned: PlannedCell) -> None:
        """Add a cell to what remains."""
        self._levels[planned.level][groups(planned)] += 1

    def left(self, elapsed: float = 0.0) -> float | None:
        """Return the estimated seconds left; None as long as nothing was measured.

        Parameters
        ----------
        elapsed
            Sum of the seconds that the cells now running have taken.
        """
        if not self._count:
            return None
        total = 0.0
        for level in sorted(self._levels):
            open_groups = {g: n for g, n in self._levels[level].items() if n > 0}
            if not open_groups:
                continue
            work = sum(n * self._mean(g) for g, n in open_groups.items())
            longest = max(map(self._mean, open_groups))
            total += max(work / self._slots, longest)
        return max(total - elapsed / self._slots, 0.0)

    def mean(self, planned: PlannedCell) -> float:
        """Return the mean seconds of the nearest group of a cell that has any measured."""
        return self._mean(groups(planned))

    def usual(self, planned: PlannedCell) -> float | None:
        """Return the mean seconds of cells like one; None as long as none was measured."""
        return self.mean(planned) if self._count else None

    def at_once(self, slots: int) -> None:
        """Reckon with another number of cells at once."""
        self._slots = slots

    def _mean(self, nearest_first: tuple[Group, ...]) -> float:
        group = next(g for g in nearest_first if self._count[g])
        return self._seconds[group] / self._count[group]
