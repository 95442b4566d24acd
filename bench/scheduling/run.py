"""A run: brings every cell of a plan to its end, beside whoever else works on the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import StoreError
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.record import Failure, Record
from bench.records.store import CellState, Store
from bench.scheduling.backoff import fetched_by
from bench.scheduling.course import Course
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended, Engine, NoRoom
from bench.scheduling.interrupts import Interrupts
from bench.scheduling.job import Job
from bench.scheduling.ledger import Ledger
from bench.scheduling.order import guess, ways
from bench.scheduling.placement import Placement
from bench.scheduling.progress import Progress, Silence, duration, name_of
from bench.scheduling.queue import Queue
from bench.scheduling.retries import needs_device_alone, verdict
from bench.scheduling.room import Room
from bench.scheduling.slots import Slots
from bench.scheduling.summary import FailedCell, RunSummary
from bench.spec.cell import Cell, PlannedCell, Resources

_POLL = 0.2
OnDone = Callable[[PlannedCell, Record], None]


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes
    ----------
    retries
        Further attempts at a cell in this run; see :func:`bench.scheduling.retries.verdict`.
    keep
        Names of the artifacts to keep of every cell that can leave them, not only of those that
        others start from; a cell done without them is done again.
    look_every
        Seconds between looks at cells that another runner has.
    patience
        Seconds without room for a single process until the run is given up.
    save_every
        Seconds between two saves of a cell's training; 0 saves none.
    like_failures
        The run stops after so many like failures of different cells without a success.
    leave_when_idle
        End as soon as nothing runs here and no cell can be begun, though others have cells.
    """

    retries: int = 1
    keep: frozenset[str] = frozenset()
    look_every: float = 1.0
    patience: float = 30.0
    save_every: float = 600.0
    like_failures: int = 10
    leave_when_idle: bool = False


def run(
    plan: Sequence[PlannedCell],
    store: Store,
    engine: Engine,
    *,
    resources: Mapping[str, Resources] | None = None,
    expectations: Expectations | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    states: Mapping[str, CellState] | None = None,
    suites: Mapping[str, Collection[str]] | None = None,
    on_done: OnDone | None = None,
    artifacts: Mapping[str, frozenset[str]] | None = None,
) -> RunSummary:
    """Execute all cells of a plan that have no fresh done record; the engine is closed after.

    Of those that may start, the one from which the longest way leads to an end comes first, as far
    as that is known. Cells that failed in earlier runs are tried again. Cells that another live
    runner has are left to it, and the run ends when they have ended too. SIGINT, SIGTERM and SIGHUP
    stop the run: its cells are recorded as cancelled.

    Parameters
    ----------
    resources
        A cell's id to where the things of its suite lie.
    states
        What the store has just said of the plan's cells; looked up where it is not given.
    suites
        Name to the ids of its cells, of each suite of which progress and the summary should tell.
    on_done
        Is told of each cell that is done while the run lasts, with the record that counts.
    artifacts
        A cell's id to the names of what its attempts leave beside what cells of the plan ask for.

    Raises
    ------
    SpecError
        If a cell's parent is not in the plan.
    StoreError
        If the store cannot be read or written.
    UserError
        If the system has no room for any process.
    """
    started = time.monotonic()
    expected = expectations or Expectations()
    options = options or RunOptions()
    progress = progress or Silence()
    slots = Slots(engine.devices)
    try:
        queue = Queue(plan)
        cells = {cell_id: planned.cell for cell_id, planned in queue.cells.items()}
        if states is None:
            states = store.states(cells.values(), expected)
        done = [
            cell_id
            for cell_id, state in states.items()
            if state.done and not _lacks(options.keep, cells[cell_id], state, store)
        ]
        if len(done) < len(queue.cells):
            queue.prefer(ways(queue.cells, guess(queue.cells.values(), states)))
        queue.open(done)
        course = Course(queue, slots, suites or {})
        if not queue.unfinished:
            return course.summary(started, store)
        with (
            Leases(store.layout, ttl=store.ttl) as leases,
            Interrupts(raises=engine.blocking) as interrupts,
        ):
            ledger = Ledger(
                store, leases, cells, expected, states, keep=options.keep, beside=artifacts
            )
            placement = Placement(slots, cells, like_failures=options.like_failures)
            placement.learn(record for state in states.values() if (record := state.record))
            _Runner(
                queue, ledger, engine, placement, resources or {}, options, progress, course,
                interrupts, on_done,
            ).run()  # fmt: skip
        return course.summary(started, store, interrupts.count > 0)
    finally:
        engine.close()


def _lacks(names: frozenset[str], cell: Cell, state: CellState, store: Store) -> bool:
    return any(cell.can_leave(n) and store.artifact(state.fresh, n) is None for n in names)


def _why(ended: Ended) -> str:
    return ended.outcome.failure.message if ended.outcome.failure is not None else "it was lost"


class _Runner:
    """The loop: starts what can start, takes in what has ended."""

    def __init__(
        self,
        queue: Queue,
        ledger: Ledger,
        engine: Engine,
        placement: Placement,
        resources: Mapping[str, Resources],
        options: RunOptions,
        progress: Progress,
        course: Course,
        interrupts: Interrupts,
        on_done: OnDone | None,
    ) -> None:
        self.queue = queue
        self.ledger = ledger
        self.engine = engine
        self.slots = placement.slots
        self.placement = placement
        self.resources = resources
        self.options = options
        self.progress = progress
        self.course = course
        self.interrupts = interrupts
        self.on_done = on_done
        self.running: dict[str, Device] = {}
        self.next_look = 0.0
        self.room = Room(patience=options.patience)

    def run(self) -> None:
        self.progress.begin()
        try:
            # An engine that blocks is interrupted by this exception; the count says the rest.
            with contextlib.suppress(KeyboardInterrupt):
                while self.queue.unfinished and not self.ending:
                    # Before an engine that blocks takes the first cell.
                    self.progress.update(lambda: self.course.tally(self.ledger.elapsed))
                    self.follow()
                    self.fill()
                    for ended in self.engine.poll(_POLL):
                        self.finish(ended)
                    self.look_elsewhere()
                    if self.options.leave_when_idle and self.idle:
                        break
        finally:
            # A terminal that has hung up takes no more text.
            with contextlib.suppress(OSError):
                if self.interrupts.count:
                    self.progress.note("stopping; once more stops harder")
                elif stopped := self.placement.health.stopped:
                    self.course.stopped = stopped
                    self.progress.note(f"the run stops: {stopped}")
            try:
                self.stop()
            finally:
                with contextlib.suppress(OSError):
                    self.progress.end(self.course.tally())

    @property
    def ending(self) -> bool:
        """Whether nothing more is to be started."""
        return self.interrupts.count > 0 or bool(self.placement.health.stopped)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do but to wait for others."""
        return not (self.running or self.queue.counts["ready"])

    def follow(self) -> None:
        """Use the devices that are there now."""
        devices = self.engine.devices
        self.slots.follow(devices)
        self.placement.health.follow([device.name for device in devices])

    def fill(self) -> None:
        """Start cells as long as there is room; keep a device free for a cell that needs it."""
        alone = self.next_alone()
        if alone is not None and self.room.open and self.slots.idle(alone[1]):
            self.queue.take_alone(alone[0])
            self.start(alone[0], self.slots.devices[alone[1]], alone=True)
            alone = self.next_alone()
        avoid = alone[1] if alone is not None else None
        while self.room.open and not self.ending:
            found = self.placement.next(self.queue, avoid)
            if found is None:
                return
            self.start(*found)

    def next_alone(self) -> tuple[str, str] | None:
        """Return the next cell that must run alone and the device that it is to have."""
        found = self.queue.next_alone(self.placement.may_start)
        return None if found is None else (found[0], self.placement.alone_on(*found))

    def start(self, cell_id: str, device: Device, *, alone: bool = False) -> None:
        """Start a cell, unless somebody else has done it, has it, or has failed at it."""
        alone_on = device.name if alone else None
        if self.ledger.settled(cell_id):
            self.done_elsewhere(cell_id)
            return
        failures = self.ledger.failures(cell_id)
        if failures and verdict([f for _, f in failures], self.options.retries) == "over":
            self.fail(cell_id, *failures[-1])
            return
        parents = self.ledger.parents(cell_id)
        if isinstance(parents, str):
            self.reopen(parents)
            self.queue.again(cell_id, alone_on)
            return
        lease = self.ledger.claim(cell_id)
        if lease is None:
            self.leave(cell_id)
            return
        self.placement.begin(cell_id, device, alone=alone)
        job = Job(
            cell=self.queue.cells[cell_id].cell,
            attempt=lease.attempt,
            folder=lease.folder.path,
            device=device.kind,
            threads=device.threads,
            keep=self.ledger.keep(cell_id),
            parents=parents,
            resources=self.resources.get(cell_id, Resources()),
            code=self.ledger.code(cell_id),
            alone=alone,
            save_every=self.options.save_every,
        )
        self.running[cell_id] = device
        try:
            self.engine.start(job, device)
        except NoRoom as error:
            self.put_back(cell_id, alone_on, error)
        else:
            self.room.taken()

    def put_back(self, cell_id: str, alone_on: str | None, error: NoRoom) -> None:
        """Let a cell wait that could not be started for want of room."""
        self.placement.undo(cell_id, self.running.pop(cell_id))
        self.ledger.give_back(cell_id)
        self.queue.again(cell_id, alone_on)
        if self.interrupts.count:
            return
        if self.room.refused(error, len(self.running)):
            self.progress.note(
                f"no room for one more process ({error}) beside {len(self.running)}: cells wait"
            )

    def reopen(self, parent: str) -> None:
        """Let a done parent run again, because its artifact is gone or another one's."""
        if self.queue.place(parent) == "done":
            self.progress.note(f"{name_of(self.queue.cells[parent])} runs again: its file is gone")
            self.queue.reopen(parent)
            self.course.estimate.reopened(self.queue.cells[parent])

    def finish(self, ended: Ended) -> None:
        """Record what has ended, and decide what follows."""
        cell_id = ended.job.cell.id
        device = self.running.pop(cell_id)
        ended = replace(ended, usage=self.placement.end(ended, device))
        self.room.freed()
        self.course.attempts += 1
        if not self.ledger.commit(ended):
            self.leave(cell_id)
            return
        if ended.outcome.status == "cancelled" and self.interrupts.count:
            self.queue.again(cell_id)
            return
        if ended.lost:
            self.progress.note(f"{name_of(self.queue.cells[cell_id])} runs again: {_why(ended)}")
            self.queue.again(cell_id, device.name if ended.job.alone else None)
            return
        if ended.outcome.status != "done":
            self.retry_or_fail(cell_id, ended, device)
            return
        planned = self.queue.cells[cell_id]
        self.course.measured(planned, ended.seconds)
        if self.ledger.settled(cell_id):
            self.course.done += 1
            self.succeed(cell_id)
        else:
            self.fail(cell_id, ended.job.attempt, self.why_not_settled(cell_id), told=False)

    def why_not_settled(self, cell_id: str) -> Failure:
        """Return what is wrong with a cell whose attempt has just ended as done."""
        state = self.ledger.state(cell_id)
        if state.fresh:
            return Failure("error", "it has left no file for the cells that start from it")
        if broken := self.ledger.broken(cell_id):
            return Failure("user-error", f"its record cannot be: {broken}")
        reasons = ", ".join(state.reasons)
        return Failure("error", f"its record is stale at once ({reasons}): edited meanwhile?")

    def retry_or_fail(self, cell_id: str, ended: Ended, device: Device) -> None:
        """Put a cell back if its failure is worth another attempt."""
        failures = self.ledger.failures(cell_id)
        what = verdict([failure for _, failure in failures], self.options.retries)
        failure = ended.outcome.failure or Failure("error", "no reason was given")
        planned = self.queue.cells[cell_id]
        wait: float | None = None
        if failure.kind == "network":
            wait = self.placement.backoff.failed(cell_id, fetched_by(planned.cell), failure.message)
            what = what if wait is not None else "over"
        self.progress.failed(planned, ended.job.attempt, failure, what != "over")
        usual = self.course.estimate.usual(planned)
        if benched := self.placement.failed(ended, device, usual):
            self.course.benched.append(benched)
            self.progress.note(benched)
        if what == "over":
            self.fail(cell_id, ended.job.attempt, failure)
            self.fail_unfetched()
            return
        if what == "later":
            self.progress.note(f"{planned.cell.dataset} is tried again in {duration(wait)}")
        alone = needs_device_alone([failure for _, failure in failures])
        self.queue.again(cell_id, device.name if alone else None)

    def fail_unfetched(self) -> None:
        """Give up, once, all cells of datasets that could not be fetched."""
        for cell_id in [*self.queue.at("ready"), *self.queue.at("waiting")]:
            reason = self.placement.backoff.lost(fetched_by(self.queue.cells[cell_id].cell))
            if reason is not None and self.queue.place(cell_id) in ("ready", "waiting"):
                self.fail(cell_id, 0, Failure("network", f"not tried: {reason}"))

    def succeed(self, cell_id: str) -> None:
        """A cell is done."""
        self.queue.done(cell_id)
        planned = self.queue.cells[cell_id]
        self.course.estimate.finished(planned)
        if self.on_done is not None:
            self.on_done(planned, self.ledger.state(cell_id).fresh[0])

    def done_elsewhere(self, cell_id: str) -> None:
        """Another runner has done a cell."""
        self.course.elsewhere += 1
        self.succeed(cell_id)

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
            self.ledger.commit_parent_failure(cell_id, failure)

    def leave(self, cell_id: str) -> None:
        """Leave a cell to the runner that has it."""
        if self.ledger.settled(cell_id):
            self.done_elsewhere(cell_id)
        else:
            self.queue.elsewhere(cell_id)

    def look_elsewhere(self) -> None:
        """Look after the cells that other runners have."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + self.options.look_every
        for cell_id in self.queue.at("elsewhere"):
            if self.ledger.settled(cell_id):
                self.done_elsewhere(cell_id)
            elif self.ledger.state(cell_id).owner is None:
                self.take_back(cell_id)

    def take_back(self, cell_id: str) -> None:
        """Queue a cell that its runner has let go of without a done record."""
        self.queue.again(cell_id)
        if self.queue.failed_parent(cell_id) is not None:
            self.fail_by_parent([cell_id, *self.queue.failed(cell_id)])

    def stop(self) -> None:
        """End what runs, and record it."""
        for ended in self.engine.stop(lambda: self.interrupts.count > 1):
            cell_id = ended.job.cell.id
            self.course.attempts += 1
            ended = replace(ended, usage=self.placement.end(ended, self.running.pop(cell_id)))
            # If the store is why we stop, the rest cannot be recorded either.
            with contextlib.suppress(StoreError):
                done = self.ledger.commit(ended) and ended.outcome.status == "done"
                if done and self.ledger.settled(cell_id):
                    self.course.measured(self.queue.cells[cell_id], ended.seconds)
                    self.course.done += 1
                    self.succeed(cell_id)
