"""Who was on which device with whom, and what share of its time each had."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class _Stay:
    device: str
    beside: set[str] = field(default_factory=set)
    # Those to whom it is new: an earlier attempt at the cell was not beside them.
    new_to: set[str] = field(default_factory=set)
    seconds: float = 0.0


@dataclass(frozen=True)
class Stay:
    """A cell's time on a device.

    Attributes
    ----------
    beside
        Ids of the cells that were there at the same time, sorted.
    seconds
        Its share of the device's time: while n cells share it, each has an n-th.
    """

    beside: tuple[str, ...]
    seconds: float


class Tenancy:
    """Counts the time of devices; the shares of all cells add up to the time in which one ran.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stays: dict[str, _Stay] = {}
        self._counted: dict[str, float] = {}

    def begin(self, cell_id: str, device: str) -> None:
        """A cell begins on a device."""
        others = self._on(device)
        self._count(device)
        stay = self._stays[cell_id] = _Stay(device)
        for other in others:
            if cell_id not in self._stays[other].beside:
                stay.new_to.add(other)
            self._stays[other].beside.add(cell_id)
            stay.beside.add(other)
            self._stays[other].new_to.add(cell_id)

    def end(self, cell_id: str) -> Stay:
        """Return a cell's stay, which ends now."""
        self._count(self._stays[cell_id].device)
        stay = self._stays.pop(cell_id)
        return Stay(tuple(sorted(stay.beside)), stay.seconds)

    def undo(self, cell_id: str) -> None:
        """A cell that was to begin has not: nobody was beside it, but in an earlier attempt."""
        stay = self._stays.pop(cell_id)
        for other in stay.new_to.intersection(self._on(stay.device)):
            self._stays[other].beside.discard(cell_id)

    def _on(self, device: str) -> list[str]:
        return [cell_id for cell_id, stay in self._stays.items() if stay.device == device]

    def _count(self, device: str) -> None:
        now = self._clock()
        there = self._on(device)
        for cell_id in there:
            self._stays[cell_id].seconds += (now - self._counted[device]) / len(there)
        self._counted[device] = now
