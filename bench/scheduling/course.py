"""The course of a run: what has happened so far, in numbers."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from bench.records.store import Store
from bench.scheduling.estimate import Estimate
from bench.scheduling.progress import Tally
from bench.scheduling.queue import Queue
from bench.scheduling.slots import Slots
from bench.scheduling.summary import FailedCell, RunSummary, Share
from bench.spec.cell import PlannedCell


class Course:
    """Counts what happens in a run.

    Parameters
    ----------
    queue
        The run's queue, opened.
    slots
        Where its cells run.
    suites
        Name to the ids of its cells, of each suite that is counted by itself.
    """

    def __init__(
        self, queue: Queue, slots: Slots, suites: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._queue = queue
        self._slots = slots
        self._suites = suites or {}
        self._before = queue.counts["done"]
        rest = (p for cell_id, p in queue.cells.items() if queue.place(cell_id) != "done")
        self.estimate = Estimate(rest, slots.total)
        self.done = 0
        self.elsewhere = 0
        self.attempts = 0
        self.cell_seconds = 0.0
        self.failures: list[FailedCell] = []
        self.benched: list[str] = []
        self.stopped = ""

    def measured(self, planned: PlannedCell, seconds: float, earlier: float = 0.0) -> None:
        """Count an attempt that ended as done; ``earlier`` are those that it went on from."""
        self.cell_seconds += seconds
        self.estimate.measured(planned, seconds + earlier)

    def tally(self, elapsed: float = 0.0) -> Tally:
        """Return where the cells are; ``elapsed`` is the sum of seconds of those that run."""
        counts = self._queue.counts
        self.estimate.at_once(self._slots.total)
        return Tally(
            total=len(self._queue.cells),
            done=self.done,
            skipped=max(counts["done"] - self.done, 0),
            running=counts["running"],
            elsewhere=counts["elsewhere"],
            failed=counts["failed"],
            left=self.estimate.left(elapsed),
            suites=self._shares(),
            devices=self._slots.used,
        )

    def _shares(self) -> tuple[Share, ...]:
        """Return how far each suite is; a cell of several counts in each."""
        return tuple(
            Share(
                name,
                total=len(cells),
                done=sum(self._queue.place(cell_id) == "done" for cell_id in cells),
                failed=sum(self._queue.place(cell_id) == "failed" for cell_id in cells),
            )
            for name, cells in self._suites.items()
        )

    def summary(self, started: float, store: Store, interrupted: bool = False) -> RunSummary:
        """Return what has been done since ``started``, in monotonic seconds."""
        return RunSummary(
            done=self.done,
            before=self._before,
            elsewhere=self.elsewhere,
            failures=tuple(self.failures),
            unfinished=self._queue.unfinished,
            attempts=self.attempts,
            cell_seconds=self.cell_seconds,
            wall_seconds=time.monotonic() - started,
            slots=self._slots.total,
            interrupted=interrupted,
            benched=tuple(self.benched),
            stopped=self.stopped,
            suites=self._shares(),
            broken=tuple(f"{path}: {reason}" for path, reason in store.broken.items()),
        )
