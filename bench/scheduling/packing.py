"""How many cells share a GPU: by the memory that cells of their kind took, and what it brought."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from bench.spec.cell import Cell
from bench.spec.work import Work, canonical_json

HEADROOM = 0.1
RISE = 0.05
CONTEXT = 768 * 1024**2
"""What a process takes of a GPU beside its allocator, in bytes, where the driver does not tell."""
# What says which rows a cell sees, and not how many at once.
_ROWS = ("sampling_rate", "train_classes", "long_tail")
# How far from a whole number the mean number of neighbours may be to count as that number.
_NEARLY = 0.25


def kind_of(cell: Cell) -> str:
    """Return a digest of all that a cell's memory and speed follow from.

    It is the work without the seed and the rows: cells of one kind have network, dataset, image
    and batch size, precision, steps and parts in common.
    """
    return _kind_of(cell.work)


@cache
def _kind_of(work: Work) -> str:
    return hashlib.sha256(canonical_json(_without_rows(work.data)).encode()).hexdigest()[:16]


def _without_rows(data: Any) -> Any:
    ((key, work),) = data.items()
    if not isinstance(work, dict):
        # A training that is chosen by a search is told by its candidates.
        return data
    if "tasks" in work:
        tasks = {name: _less(task, _ROWS) for name, task in work["tasks"].items()}
        work = {**work, "tasks": tasks}
    if "task" in work:
        work = {**work, "task": _less(work["task"], _ROWS)}
    if "recipe" in work:
        work = {**work, "recipe": _less(work["recipe"], ("validation_seed",))}
    return {key: _less(work, ("held_out",))}


def _less(data: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


class Packing:
    """Knows what kinds of cells take of a model of GPU, and whether one more beside them helps.

    It never lets a kind have a neighbour whose peak it does not know, lets the known peaks with
    their headroom exceed no memory, and opens one slot more than was tried only while the last
    one made all cells together faster.

    Parameters
    ----------
    headroom
        Share of the peaks that is kept free.
    rise
        By how much one cell more must raise the rate of all.
    """

    def __init__(self, *, headroom: float = HEADROOM, rise: float = RISE) -> None:
        self._headroom = headroom
        self._rise = rise
        self._memory: dict[str, int] = {}
        self._peaks: dict[tuple[str, str], int] = {}
        self._seconds: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
        self._most: dict[tuple[str, str], int] = {}

    def has_memory(self, model: str, total: int) -> None:
        """Learn the memory of a model of GPU, in bytes: the least that was told."""
        self._memory[model] = min(total, self._memory.get(model, total))

    def took(self, model: str, kind: str, peak: int) -> None:
        """Learn what a cell of a kind took, in bytes: the most that was seen counts."""
        self._peaks[model, kind] = max(peak, self._peaks.get((model, kind), 0))

    def lasted(self, model: str, kind: str, seconds: float, device_seconds: float) -> None:
        """Learn how long a cell of a kind took beside others.

        Parameters
        ----------
        device_seconds
            Its share of the device's time, which says how many shared it.
        """
        if seconds <= 0 or device_seconds <= 0:
            return
        sharing = seconds / device_seconds
        tenants = round(sharing)
        # One that had a neighbour for half of its time tells of neither.
        if abs(sharing - tenants) <= _NEARLY:
            self._seconds[model, kind, tenants].append(seconds)
            self._settle(model, kind)

    def crowded(self, model: str, kind: str) -> None:
        """A cell of a kind ran out of memory beside others: from now on it has no neighbour."""
        self._most[model, kind] = 1

    def peak(self, model: str, kind: str) -> int | None:
        """Return what a kind is predicted to take at most, in bytes; None if it is unknown."""
        return self._peaks.get((model, kind))

    def most(self, model: str, kind: str) -> int:
        """Return how many cells may share a device with one of a kind, itself among them."""
        if (model, kind) in self._most:
            return self._most[model, kind]
        tried = 2
        while self._rises(model, kind, tried):
            tried += 1
        return tried

    def joins(self, model: str, kind: str, beside: Sequence[str]) -> bool:
        """Return whether a cell of a kind may run beside others on one device.

        Parameters
        ----------
        beside
            The kinds of those that are there.
        """
        if not beside:
            return True
        together = [*beside, kind]
        peaks = [self.peak(model, each) for each in together]
        known = [peak for peak in peaks if peak is not None]
        memory = self._memory.get(model)
        if memory is None or len(known) < len(together):
            return False
        if sum(known) * (1 + self._headroom) > memory:
            return False
        return len(together) <= min(self.most(model, each) for each in set(together))

    def share(self, model: str, kind: str) -> float:
        """Return the share of a device's memory that a cell of a kind may take beside others.

        Nobody can then take what another counts on, and the memory that a cell finds does not
        depend on who is beside it. All of it where the kind's peak is not known.
        """
        peak, memory = self.peak(model, kind), self._memory.get(model)
        if peak is None or not memory:
            return 1.0
        return min(1.0, peak * (1 + self._headroom) / memory)

    def _settle(self, model: str, kind: str) -> None:
        """Remember that one cell more has brought nothing, as soon as it is seen."""
        tried = 2
        while (rises := self._rises(model, kind, tried)) is not None:
            if not rises:
                self._most.setdefault((model, kind), tried - 1)
                return
            tried += 1

    def _rises(self, model: str, kind: str, tenants: int) -> bool | None:
        """Return whether one cell more raised the rate of all; None where it is not known yet."""
        before, after = (self._rate(model, kind, n) for n in (tenants - 1, tenants))
        if before is None or after is None:
            return None
        return after >= (1 + self._rise) * before

    def _rate(self, model: str, kind: str, tenants: int) -> float | None:
        # All that ran at once have to have ended.
        seconds = self._seconds.get((model, kind, tenants), [])
        return tenants / statistics.median(seconds) if len(seconds) >= tenants else None
