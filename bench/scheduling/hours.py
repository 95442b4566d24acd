"""Hours of devices: those that were spent, and those that what is left is predicted to take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.records.record import Record, earlier_seconds
from bench.records.store import CellState
from bench.scheduling.estimate import Group, groups
from bench.spec.cell import PlannedCell

# The same kind of work with the same network on the same data; what shares less is not like it.
_LIKE = 3


@dataclass(frozen=True)
class Prediction:
    """What is left, and what it is predicted to take.

    Attributes
    ----------
    hours
        Of the cells that records are like.
    cells, unknown
        How many those are, and how many there is no such record of.
    records
        How many records it is from.
    devices
        Names of what those were made on, sorted.
    """

    hours: float
    cells: int
    unknown: int
    records: int
    devices: tuple[str, ...]

    @property
    def line(self) -> str:
        """The prediction in a line; empty where nothing is left."""
        left = self.cells + self.unknown
        if not left:
            return ""
        if not self.cells:
            return f"predicted: unknown for {_cells(left)} left: no record is of cells like them"
        on = f" on {', '.join(self.devices)}" if self.devices else ""
        many = f"{self.cells:,} of " if self.unknown else ""
        records = f"{self.records:,} record" + ("" if self.records == 1 else "s")
        line = (
            f"predicted: {hours(self.hours)} for {many}{_cells(left)} left, "
            f"from {records} of like cells{on}"
        )
        return f"{line}; unknown for {self.unknown:,}" if self.unknown else line


@dataclass(frozen=True)
class Spent:
    """What attempts have taken, however they ended."""

    hours: float
    attempts: int
    not_done: int

    @property
    def line(self) -> str:
        """The sum in a line; empty where nothing was tried."""
        if not self.attempts:
            return ""
        many = f"{self.attempts:,} attempt" + ("" if self.attempts == 1 else "s")
        lost = f", {self.not_done:,} of them not done" if self.not_done else ""
        return f"spent: {hours(self.hours)} in {many}{lost}"


def device_seconds(record: Record) -> float:
    """Return an attempt's seconds of its device: its share, where several shared one.

    Those of attempts that it went on from are not among them.
    """
    return record.usage.seconds if record.usage is not None else _own_seconds(record)


def whole_device_seconds(record: Record) -> float:
    """Return the same with the attempts that it went on from, at the share of the last one."""
    return device_seconds(record) + _share(record) * earlier_seconds(record.outcome)


def _own_seconds(record: Record) -> float:
    return max(0.0, record.seconds - earlier_seconds(record.outcome))


def _share(record: Record) -> float:
    own = _own_seconds(record)
    return min(1.0, device_seconds(record) / own) if own else 1.0


def spent(records: Iterable[Record]) -> Spent:
    """Return what all of these attempts have taken, failed and cancelled ones too.

    A cell's come in their order. What one that was killed has taken is told only by the attempt
    that went on from it.
    """
    # A cell that could not begin, for its parent has failed, was no attempt.
    begun = [
        record
        for record in records
        if record.outcome.failure is None or record.outcome.failure.kind != "parent"
    ]
    told: dict[str, float] = {}
    seconds = []
    for record in begun:
        untold = max(0.0, earlier_seconds(record.outcome) - told.get(record.id, 0.0))
        seconds.append(device_seconds(record) + _share(record) * untold)
        # What comes after a done one began anew.
        told[record.id] = 0.0 if record.done else told.get(record.id, 0.0) + _own_seconds(record)
    return Spent(math.fsum(seconds) / 3600, len(begun), sum(not record.done for record in begun))


def predicted(cells: Iterable[PlannedCell], states: Mapping[str, CellState]) -> Prediction:
    """Return what the cells that are not done are predicted to take.

    A cell takes the mean of the done records of the nearest group that has one: of its method, of
    its sampling rate, of its network and data. By other code it took about as long.
    """
    unique = {planned.cell.id: planned for planned in cells}
    known: dict[Group, list[Record]] = {}
    for cell_id, planned in unique.items():
        record = states[cell_id].record
        if record is not None and record.done:
            for group in groups(planned)[:_LIKE]:
                known.setdefault(group, []).append(record)
    left = [planned for cell_id, planned in unique.items() if not states[cell_id].done]
    used: dict[str, Record] = {}
    seconds = []
    for planned in left:
        near = next((known[group] for group in groups(planned)[:_LIKE] if group in known), None)
        if near is not None:
            seconds.append(math.fsum(map(whole_device_seconds, near)) / len(near))
            used.update((record.id, record) for record in near)
    devices = {_device(record) for record in used.values()} - {""}
    hours_left = math.fsum(seconds) / 3600
    unknown = len(left) - len(seconds)
    return Prediction(hours_left, len(seconds), unknown, len(used), tuple(sorted(devices)))


def hours(number: float) -> str:
    """Return hours of devices as text.

    >>> hours(0.02), hours(12.34)
    ('0.02 device-hours', '12.3 device-hours')
    """
    return f"{number:,.1f} device-hours" if number >= 1 else f"{number:.2g} device-hours"


def _device(record: Record) -> str:
    named = record.usage.device if record.usage is not None else ""
    return named or record.outcome.provenance.machine.get("device", "")


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"
