"""Which cell runs on which device next: slots, packing, faults of devices and of networks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from bench.records.record import Failure, Outcome, Record, Usage, earlier_seconds
from bench.scheduling.backoff import Backoff, fetched_by
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended
from bench.scheduling.engines.memory import Memory
from bench.scheduling.health import Health
from bench.scheduling.packing import CONTEXT, kind_of
from bench.scheduling.queue import Queue
from bench.scheduling.slots import Slots
from bench.scheduling.tenancy import Tenancy
from bench.spec.cell import Cell

# Seconds between looks through the queue while nothing in it fits.
_AGAIN = 1.0


class Placement:
    """Puts cells on devices, and learns from how they end.

    Parameters
    ----------
    cells
        All cells of the plan by id.
    like_failures
        After so many like failures without a success the run should stop.
    """

    def __init__(
        self,
        slots: Slots,
        cells: Mapping[str, Cell],
        *,
        like_failures: int = 10,
        backoff: Backoff | None = None,
        tenancy: Tenancy | None = None,
    ) -> None:
        self.slots = slots
        self.health = Health(tuple(slots.devices), like_failures)
        self.backoff = backoff or Backoff()
        self._tenancy = tenancy or Tenancy()
        self._cells = cells
        # How many were ready when none of them fitted, and when to look at them again.
        self._passed_over = 0
        self._next_look = 0.0

    def learn(self, records: Iterable[Record]) -> None:
        """Take in what earlier attempts took of GPUs of the same models."""
        models = {device.model for device in self.slots.devices.values()}
        for record in records:
            usage = record.usage
            cell = self._cells.get(record.id)
            if usage is not None and cell is not None and usage.device in models - {""}:
                self._learn(usage.device, cell, usage, record.outcome, record.seconds)

    def next(self, queue: Queue, avoid: str | None) -> tuple[str, Device] | None:
        """Take the next cell for which there is a device now, and return both.

        The first in the queue that has no device keeps one free until it has, so that those which
        fit better do not pass it for ever.

        Parameters
        ----------
        avoid
            A device that is kept free already.
        """
        ready = queue.counts["ready"]
        waits = ready == self._passed_over and time.monotonic() < self._next_look
        if not ready or waits or not self.slots.room(avoid):
            return None
        kept = {avoid} if avoid is not None else set()
        found: list[Device] = []
        first = True

        def fits(cell_id: str) -> bool:
            nonlocal first
            if not self.may_start(cell_id):
                return False
            not_again = self.health.avoided(cell_id)
            device = self.slots.place(self._kind(cell_id), kept | not_again)
            if device is not None:
                found.append(device)
                return True
            if first:
                first = False
                drained = self.slots.drained_soonest(kept | not_again)
                kept.update({drained} if drained is not None else ())
            return False

        cell_id = queue.next(fits)
        if cell_id is None:
            self._passed_over, self._next_look = ready, time.monotonic() + _AGAIN
            return None
        return cell_id, found[-1]

    def may_start(self, cell_id: str) -> bool:
        """Return whether nothing that a cell fetches is to be waited for."""
        return not self.backoff.waits(fetched_by(self._cells[cell_id]))

    def alone_on(self, cell_id: str, wanted: str) -> str:
        """Return the device that a cell is to have alone: the wanted one, unless it is no good."""
        avoided = self.health.avoided(cell_id)
        if wanted in self.slots.usable and wanted not in avoided:
            return wanted
        return self.slots.drained_soonest(avoided) or wanted

    def begin(self, cell_id: str, device: Device, *, alone: bool) -> None:
        """Take a slot for a cell on a device that was found for it."""
        kind = self._kind(cell_id)
        if alone:
            self.slots.take_alone(device.name, kind=kind)
        else:
            self.slots.take(kind=kind, on=device.name)
        self._tenancy.begin(cell_id, device.name)
        self.backoff.begun(cell_id, fetched_by(self._cells[cell_id]))

    def memory_share(self, cell_id: str, device: Device, *, alone: bool) -> float:
        """Return the share of a device's memory that a cell may take; all where none shares it."""
        if alone or not device.packed:
            return 1.0
        return self.slots.packing.share(device.packed_as, self._kind(cell_id))

    def undo(self, cell_id: str, device: Device) -> None:
        """A cell could not be started: its slot is free again."""
        self._tenancy.undo(cell_id)
        self._free(cell_id, device)
        self.backoff.undone(cell_id, fetched_by(self._cells[cell_id]))

    def end(self, ended: Ended, device: Device) -> Usage | None:
        """Free a cell's slot; return what it took of its GPU, None on a CPU."""
        cell_id = ended.job.cell.id
        self._free(cell_id, device)
        stay = self._tenancy.end(cell_id)
        failure = ended.outcome.failure
        if failure is None or failure.kind != "network":
            self.backoff.ended(cell_id, fetched_by(ended.job.cell))
        if ended.outcome.status == "done":
            self.health.succeeded(device.name)
        if device.kind != "cuda":
            return None
        memory = ended.memory or Memory()
        usage = Usage(
            device=device.model or memory.device,
            total=memory.total,
            reserved=memory.reserved,
            allocated=memory.allocated,
            process=memory.process,
            beside=stay.beside,
            seconds=round(stay.seconds, 3),
        )
        if failure is not None and failure.kind == "out-of-memory" and stay.beside:
            self.slots.packing.crowded(device.packed_as, kind_of(ended.job.cell))
        self._learn(device.packed_as, ended.job.cell, usage, ended.outcome, ended.seconds)
        return usage

    def failed(self, ended: Ended, device: Device, usual: float | None) -> str:
        """Take in a failure; return what is to be said of the device, if it is benched by it."""
        failure = ended.outcome.failure or Failure("error", "no reason was given")
        cell_id = ended.job.cell.id
        if not self.health.failed(cell_id, device.name, failure, ended.seconds, usual):
            return ""
        self.slots.bench(device.name)
        return (
            f"{device.name} gets no more cells in this run: two failed on it at once, "
            f"and none was done in between ({failure.kind}: {self.health.benched[device.name]})"
        )

    def _free(self, cell_id: str, device: Device) -> None:
        self.slots.give_back(device, kind=self._kind(cell_id))
        self._next_look = 0.0

    def _kind(self, cell_id: str) -> str:
        return kind_of(self._cells[cell_id])

    def _learn(
        self, model: str, cell: Cell, usage: Usage, outcome: Outcome, seconds: float
    ) -> None:
        """Learn from an attempt; its time and peak only if it was done: else it was cut short."""
        packing, kind = self.slots.packing, kind_of(cell)
        if usage.total is not None:
            packing.has_memory(model, usage.total)
        if outcome.status != "done":
            return
        peak = _peak(usage)
        if peak is not None:
            packing.took(model, kind, peak)
        # One that went on from a saved state has done a part of the work only.
        if not earlier_seconds(outcome):
            packing.lasted(model, kind, seconds, usage.seconds)


def _peak(usage: Usage) -> int | None:
    """Return the most that an attempt's process had of its GPU; None where nobody told."""
    # The driver is asked now and then: what is less than torch had has missed the peak.
    if usage.process is not None and usage.process >= (usage.reserved or 0):
        return usage.process
    return usage.reserved + CONTEXT if usage.reserved else usage.reserved
