"""What follows for a cell: done, another attempt, or given up with all that start from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.records.record import Failure, earlier_seconds
from bench.records.store import CellState
from bench.scheduling.backoff import fetched_by
from bench.scheduling.clerks import Clerks
from bench.scheduling.course import Course
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended
from bench.scheduling.interrupts import Interrupts
from bench.scheduling.ledger import Ledger, Written
from bench.scheduling.options import OnDone, RunOptions
from bench.scheduling.placement import Placement
from bench.scheduling.progress import Progress, duration, name_of
from bench.scheduling.queue import Queue
from bench.scheduling.retries import needs_device_alone, verdict
from bench.scheduling.summary import FailedCell


class Decisions:
    """Decides what follows from attempts and from what others did, and puts cells in their place.

    It starts nothing: that is the runner's.
    """

    def __init__(
        self,
        queue: Queue,
        ledger: Ledger,
        clerks: Clerks,
        placement: Placement,
        options: RunOptions,
        progress: Progress,
        course: Course,
        interrupts: Interrupts,
        on_done: OnDone | None,
    ) -> None:
        self.queue = queue
        self.ledger = ledger
        self.clerks = clerks
        self.placement = placement
        self.options = options
        self.progress = progress
        self.course = course
        self.interrupts = interrupts
        self.on_done = on_done
        # Those whose records are under way, and decide what should come next.
        self.awaited: set[str] = set()
        self.stopping = False

    @property
    def ending(self) -> bool:
        """Whether nothing more is to be started."""
        # A claim may come back while what runs is ended, for whatever reason it is.
        return self.stopping or self.interrupts.count > 0 or bool(self.placement.health.stopped)

    def judge(self, ended: Ended, device: Device) -> None:
        """Give a device no more cells if a failure says so; its record need not be there yet."""
        usual = self.course.estimate.usual(self.queue.cells[ended.job.cell.id])
        if benched := self.placement.failed(ended, device, usual):
            self.course.benched.append(benched)
            self.progress.note(benched)

    def conclude(self, ended: Ended, device: Device, came: Written) -> None:
        """Decide what follows from an attempt whose record is on the disk, or discarded."""
        cell_id = ended.job.cell.id
        self.awaited.discard(cell_id)
        if not came.kept:
            self.leave(cell_id, came)
            return
        if ended.outcome.status == "cancelled" and self.ending:
            self.queue.again(cell_id)
            return
        if ended.lost:
            self.progress.note(f"{name_of(self.queue.cells[cell_id])} runs again: {_why(ended)}")
            self.put_again(cell_id, device.name if ended.job.alone else None)
            return
        if ended.outcome.status != "done" or came.state is None:
            self.retry_or_fail(cell_id, ended, device, came.failures)
            return
        planned = self.queue.cells[cell_id]
        self.course.measured(planned, ended.seconds, earlier_seconds(ended.outcome))
        if came.settled:
            self.course.done += 1
            self.succeed(cell_id, came.state)
        else:
            why = self.why_not_settled(cell_id, came.state)
            self.fail(cell_id, ended.job.attempt, why, told=False)

    def why_not_settled(self, cell_id: str, state: CellState) -> Failure:
        """Return what is wrong with a cell whose attempt has just ended as done."""
        if state.fresh:
            return Failure("error", "it has left no file for the cells that start from it")
        if broken := self.ledger.broken(cell_id):
            return Failure("user-error", f"its record cannot be: {broken}")
        reasons = ", ".join(state.reasons)
        return Failure("error", f"its record is stale at once ({reasons}): edited meanwhile?")

    def retry_or_fail(
        self, cell_id: str, ended: Ended, device: Device, failures: Sequence[tuple[int, Failure]]
    ) -> None:
        """Put a cell back if its failure is worth another attempt."""
        what = verdict([failure for _, failure in failures], self.options.retries)
        failure = ended.outcome.failure or Failure("error", "no reason was given")
        planned = self.queue.cells[cell_id]
        wait: float | None = None
        if failure.kind == "network":
            wait = self.placement.backoff.failed(cell_id, fetched_by(planned.cell), failure.message)
            what = what if wait is not None else "over"
        self.progress.failed(planned, ended.job.attempt, failure, what != "over")
        if what == "over":
            self.fail(cell_id, ended.job.attempt, failure)
            self.fail_unfetched()
            return
        if what == "later":
            self.progress.note(f"{planned.cell.dataset} is tried again in {duration(wait)}")
        alone = needs_device_alone([failure for _, failure in failures])
        self.put_again(cell_id, device.name if alone else None)

    def fail_unfetched(self) -> None:
        """Give up, once, all cells of datasets that could not be fetched."""
        for cell_id in [*self.queue.at("ready"), *self.queue.at("waiting")]:
            reason = self.placement.backoff.lost(fetched_by(self.queue.cells[cell_id].cell))
            if reason is not None and self.queue.place(cell_id) in ("ready", "waiting"):
                self.fail(cell_id, 0, Failure("network", f"not tried: {reason}"))

    def succeed(self, cell_id: str, state: CellState) -> None:
        """A cell is done."""
        self.queue.done(cell_id)
        planned = self.queue.cells[cell_id]
        self.course.estimate.finished(planned)
        if self.on_done is not None:
            self.on_done(planned, state.fresh[0])

    def done_elsewhere(self, cell_id: str, state: CellState) -> None:
        """Another runner has done a cell."""
        self.course.elsewhere += 1
        self.succeed(cell_id, state)

    def fail(self, cell_id: str, attempt: int, failure: Failure, *, told: bool = True) -> None:
        """Give a cell up, and with it all that start from it."""
        planned = self.queue.cells[cell_id]
        if not told:
            self.progress.failed(planned, attempt, failure, False)
        self.course.failures.append(FailedCell(planned, attempt, failure))
        self.course.estimate.finished(planned)
        self.fail_by_parent(self.queue.failed(cell_id))

    def fail_by_parent(self, cell_ids: Sequence[str]) -> None:
        """Record cells that cannot start because a parent has failed for good."""
        reasons = {failed.planned.cell.id: failed.failure for failed in self.course.failures}
        for cell_id in cell_ids:
            parent = self.queue.failed_parent(cell_id) or ""
            name = name_of(self.queue.cells[parent])
            message = f"its parent {name} failed: {reasons[parent].message}"
            failure = reasons[cell_id] = Failure("parent", message)
            self.course.failures.append(FailedCell(self.queue.cells[cell_id], 0, failure))
            self.course.estimate.finished(self.queue.cells[cell_id])
            self.clerks.write(
                partial(self.ledger.commit_parent_failure, cell_id, failure), lambda _: None
            )

    def leave(self, cell_id: str, came: Written) -> None:
        """Leave a cell to the runner that has it."""
        if came.settled and came.state is not None:
            self.done_elsewhere(cell_id, came.state)
        else:
            self.queue.elsewhere(cell_id)

    def reopen(self, parent: str) -> None:
        """Let a done parent run again, because its artifact is gone or another one's."""
        if self.queue.place(parent) == "done":
            self.progress.note(f"{name_of(self.queue.cells[parent])} runs again: its file is gone")
            self.queue.reopen(parent)
            self.course.estimate.reopened(self.queue.cells[parent])

    def put_again(self, cell_id: str, alone_on: str | None = None) -> None:
        """Put a cell back into the queue; one of which a parent has failed meanwhile fails too."""
        self.queue.again(cell_id, alone_on)
        if self.queue.failed_parent(cell_id) is not None:
            self.fail_by_parent([cell_id, *self.queue.failed(cell_id)])


def _why(ended: Ended) -> str:
    return ended.outcome.failure.message if ended.outcome.failure is not None else "it was lost"
