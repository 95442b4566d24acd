"""Whether it is a cell that fails, a device, or everything. Knows no store and no engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.records.record import Failure, FailureKind

QUICK = 60.0
"""A failure sooner than this, in seconds, may be the device's."""
SHARE = 0.2
"""So may one sooner than this share of what a cell usually takes."""
# What a device that is broken looks like. An error of the user's, a NaN or a time limit is the
# cell's own matter, and will be the same anywhere.
_OF_DEVICES: frozenset[FailureKind] = frozenset({"error", "signal", "exit"})
_ALIKE = _OF_DEVICES | {"out-of-memory"}


class Health:
    """Counts failures by device and by what they say.

    Parameters
    ----------
    devices
        Names of all.
    like_failures
        After so many like failures of different cells without a success the run should stop.
    """

    def __init__(self, devices: tuple[str, ...], like_failures: int = 10) -> None:
        self._devices = devices
        self._like_failures = like_failures
        self._quick: defaultdict[str, set[str]] = defaultdict(set)
        self._alike: dict[tuple[FailureKind, str], set[str]] = {}
        self._where: dict[str, set[str]] = {}
        self.benched: dict[str, str] = {}
        self.stopped = ""

    def follow(self, devices: Sequence[str]) -> None:
        """Count these as all devices from now on."""
        self._devices = tuple(devices)

    def succeeded(self, device: str) -> None:
        """A cell was done on a device."""
        self._quick[device].clear()
        self._alike.clear()

    def failed(
        self, cell_id: str, device: str, failure: Failure, seconds: float, usual: float | None
    ) -> bool:
        """Take in an attempt's failure; return whether the device is benched by it.

        Parameters
        ----------
        usual
            Seconds that such cells take; None where it is not known.
        """
        if failure.kind in _ALIKE:
            self._count(cell_id, failure)
        if failure.kind not in _OF_DEVICES:
            return False
        where = self._where.setdefault(cell_id, set())
        where.add(device)
        if len(where) > 1:
            # It fails anywhere: no device's fault.
            for cells in self._quick.values():
                cells.discard(cell_id)
            return False
        if seconds >= max(QUICK, SHARE * (usual or 0.0)):
            return False
        self._quick[device].add(cell_id)
        last = len(set(self._devices) - self.benched.keys()) <= 1
        if len(self._quick[device]) < 2 or device in self.benched or last:
            return False
        self.benched[device] = _first_line(failure)
        return True

    def avoided(self, cell_id: str) -> frozenset[str]:
        """Return the devices that a cell should not be tried on again; none if that leaves none."""
        failed_on = self._where.get(cell_id, set())
        left = set(self._devices) - self.benched.keys() - failed_on
        return frozenset(failed_on) if left else frozenset()

    def _count(self, cell_id: str, failure: Failure) -> None:
        alike = self._alike.setdefault((failure.kind, _first_line(failure)), set())
        alike.add(cell_id)
        if len(alike) >= self._like_failures and not self.stopped:
            self.stopped = (
                f"{len(alike)} cells failed alike, and none was done in between "
                f"({failure.kind}): {_first_line(failure)}"
            )


def _first_line(failure: Failure) -> str:
    return failure.message.partition("\n")[0]
