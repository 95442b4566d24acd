"""When to try a network again: later each time, with one cell of a dataset, not with all."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.spec.cell import Cell

DELAYS = (30.0, 120.0, 600.0)
"""Seconds until a dataset is tried again, after its first failure, its second, its third."""


def fetched_by(cell: Cell) -> tuple[str, ...]:
    """Return what a cell fetches, by name: its datasets; of one without, its network."""
    return cell.datasets or (cell.backbone,)


@dataclass
class _Fault:
    failures: int
    until: float
    probe: str | None = None


class Backoff:
    """Keeps back all cells of a dataset that could not be fetched, but for one when it is time.

    Parameters
    ----------
    delays
        Seconds to wait after each failure; after one more the dataset is given up.
    clock
        Seconds that only grow.
    """

    def __init__(
        self, delays: Sequence[float] = DELAYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._delays = delays
        self._clock = clock
        self._faults: dict[str, _Fault] = {}
        self.given_up: dict[str, str] = {}

    def waits(self, names: Collection[str]) -> bool:
        """Return whether a cell of these datasets is not to be started now."""
        faults = [self._faults[name] for name in names if name in self._faults]
        now = self._clock()
        return any(fault.probe is not None or now < fault.until for fault in faults)

    def lost(self, names: Collection[str]) -> str | None:
        """Return why a cell of these datasets is not to be started in this run any more."""
        return next((self.given_up[name] for name in names if name in self.given_up), None)

    def begun(self, cell_id: str, names: Collection[str]) -> None:
        """A cell was started: of datasets that have failed it is the one that tries."""
        for name in names:
            if name in self._faults:
                self._faults[name].probe = cell_id

    def failed(self, cell_id: str, names: Collection[str], message: str) -> float | None:
        """A cell's network failed: return the seconds to wait; None if its data are given up.

        Of several cells that were running at the time only the first counts.
        """
        for name in names:
            fault = self._faults.get(name)
            if fault is None:
                fault = self._faults[name] = _Fault(0, 0.0, cell_id)
            if fault.probe == cell_id:
                fault.failures += 1
                fault.probe = None
                if fault.failures > len(self._delays):
                    self.given_up[name] = message
                else:
                    fault.until = self._clock() + self._delays[fault.failures - 1]
        if self.lost(names) is not None:
            return None
        now = self._clock()
        return max((self._faults[name].until - now for name in names), default=0.0)

    def undone(self, cell_id: str, names: Collection[str]) -> None:
        """A cell was not started after all: another one may try."""
        for name in names:
            if name in self._faults and self._faults[name].probe == cell_id:
                self._faults[name].probe = None

    def ended(self, cell_id: str, names: Collection[str]) -> None:
        """A cell ended in another way: if it was the one that tried, the network is there."""
        for name in names:
            if name in self._faults and self._faults[name].probe == cell_id:
                del self._faults[name]
