"""The loop of a run: starts what can start, takes in what has ended, looks at others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from bench.errors import StoreError
from bench.scheduling.clerks import IN_FLIGHT, Clerks
from bench.scheduling.course import Course
from bench.scheduling.decisions import Decisions
from bench.scheduling.device import Device
from bench.scheduling.elsewhere import Neighbours, Pace, Seen
from bench.scheduling.engines.engine import Ended, Engine, NoRoom
from bench.scheduling.interrupts import Interrupts
from bench.scheduling.job import Job
from bench.scheduling.ledger import Approach, Ledger
from bench.scheduling.options import OnDone, RunOptions
from bench.scheduling.placement import Placement
from bench.scheduling.progress import Progress
from bench.scheduling.queue import Queue
from bench.scheduling.room import Room
from bench.spec.cell import Resources

_POLL = 0.2
# Seconds between looks at errands, beside an engine that cannot be woken by them.
_GLANCE = 0.01


class Runner(Decisions):
    """Starts what can start, takes in what has ended."""

    def __init__(
        self,
        queue: Queue,
        ledger: Ledger,
        neighbours: Neighbours,
        clerks: Clerks,
        engine: Engine,
        placement: Placement,
        resources: Mapping[str, Resources],
        options: RunOptions,
        progress: Progress,
        course: Course,
        interrupts: Interrupts,
        on_done: OnDone | None,
    ) -> None:
        super().__init__(
            queue, ledger, clerks, placement, options, progress, course, interrupts, on_done
        )
        self.neighbours = neighbours
        self.engine = engine
        self.slots = placement.slots
        self.resources = resources
        self.running: dict[str, Device] = {}
        # An engine that cannot be woken by what clerks bring is asked more often.
        self.listens = listen(engine, clerks.news)
        self.pace = Pace(options.look_every, options.look_at_most)
        self.looking = False
        # Of a run that leaves when idle, how far its last look is.
        self.last_look: Literal["", "asked", "begun", "over"] = ""
        # What others have told to be done, and has not been looked at.
        self.told: set[str] = set()
        self.room = Room(patience=options.patience)

    def run(self) -> None:
        """Go on until nothing is left, somebody interrupts, or the rest is others'."""
        self.progress.begin()
        try:
            # An engine that blocks is interrupted by this exception; the count says the rest.
            with contextlib.suppress(KeyboardInterrupt):
                while self.queue.unfinished and not self.ending and not self.leaves():
                    # Before an engine that blocks takes the first cell.
                    self.progress.update(lambda: self.course.tally(self.ledger.elapsed))
                    self.follow()
                    self.fill()
                    self.wait()
                    self.look_elsewhere()
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

    def wait(self) -> None:
        """Take in what has ended, or has come of errands; wait a while for the first."""
        if not self.listens and self.clerks.asking:
            self.clerks.wait_for_claims(_POLL)
        if self.clerks.hand_out():
            self.take_ended(0.0)
        elif self.running:
            self.take_ended(_POLL if self.listens or not self.clerks.busy else _GLANCE)
            self.clerks.hand_out()
        elif self.clerks.busy:
            self.clerks.wait(_POLL)
            self.clerks.hand_out()
        else:
            self.take_ended(_POLL)

    def take_ended(self, timeout: float) -> None:
        """Take in what has ended."""
        # With nothing under way an engine has nothing to say but by and by.
        if self.running or timeout:
            for ended in self.engine.poll(timeout):
                self.finish(ended)

    def follow(self) -> None:
        """Use the devices that are there now."""
        devices = self.engine.devices
        self.slots.follow(devices)
        self.placement.health.follow([device.name for device in devices])

    def fill(self) -> None:
        """Claim cells as long as there is room; keep a device free for a cell that needs it."""
        alone = self.next_alone()
        if alone is not None and self.room.open and self.slots.idle(alone[1]):
            self.queue.take_alone(alone[0])
            self.claim(alone[0], self.slots.devices[alone[1]], alone=True)
            alone = self.next_alone()
        avoid = alone[1] if alone is not None else None
        while self.room.open and not self.ending:
            # What they let begin may come before all others: a slot for each waits along.
            if self.awaited and self.free <= len(self.awaited):
                return
            # A disk that is slower than the cells sets the pace.
            if self.clerks.writing >= IN_FLIGHT:
                return
            found = self.placement.next(self.queue, avoid)
            if found is None:
                return
            cell_id, device = found
            if cell_id in self.told and not self.queue.awaited(cell_id):
                self.told.discard(cell_id)
                self.queue.elsewhere(cell_id)
                continue
            self.claim(cell_id, device)

    def next_alone(self) -> tuple[str, str] | None:
        """Return the next cell that must run alone and the device that it is to have."""
        found = self.queue.next_alone(self.placement.may_start)
        return None if found is None else (found[0], self.placement.alone_on(*found))

    @property
    def free(self) -> int:
        """Number of slots that are neither taken nor kept."""
        return self.slots.total - sum(taken for _, taken in self.slots.used)

    def claim(self, cell_id: str, device: Device, *, alone: bool = False) -> None:
        """Let a clerk take the next attempt at a cell, for a slot that is kept free for it."""
        self.placement.begin(cell_id, device, alone=alone)
        self.clerks.ask(
            partial(self.ledger.approach, cell_id, self.options.retries),
            partial(self.begin, cell_id, device, device.name if alone else None),
        )

    def begin(self, cell_id: str, device: Device, alone_on: str | None, came: Approach) -> None:
        """Start a cell, unless somebody else has done it, has it, or has failed at it."""
        if came.lease is not None and not self.ending:
            self.start(cell_id, device, alone_on, came)
            return
        self.placement.undo(cell_id, device)
        if came.lease is not None:
            self.ledger.give_back(cell_id)
            self.put_again(cell_id, alone_on)
        elif came.settled is not None:
            self.done_elsewhere(cell_id, came.settled)
        elif came.over is not None:
            self.fail(cell_id, *came.over)
        elif came.gone:
            self.reopen(came.gone)
            self.put_again(cell_id, alone_on)
        else:
            self.queue.elsewhere(cell_id)

    def start(self, cell_id: str, device: Device, alone_on: str | None, came: Approach) -> None:
        """Start a cell that this run has claimed."""
        assert came.lease is not None
        job = Job(
            cell=self.queue.cells[cell_id].cell,
            attempt=came.lease.attempt,
            folder=came.lease.folder.path,
            device=device.kind,
            threads=device.threads,
            keep=self.ledger.keep(cell_id),
            parents=came.parents,
            resources=self.resources.get(cell_id, Resources()),
            code=self.ledger.code(cell_id),
            alone=alone_on is not None,
            memory_share=self.placement.memory_share(cell_id, device, alone=alone_on is not None),
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
        self.put_again(cell_id, alone_on)
        if self.interrupts.count:
            return
        if self.room.refused(error, len(self.running)):
            self.progress.note(
                f"no room for one more process ({error}) beside {len(self.running)}: cells wait"
            )

    def finish(self, ended: Ended) -> None:
        """Record what has ended, and decide what follows."""
        cell_id = ended.job.cell.id
        device = self.running.pop(cell_id)
        ended = replace(ended, usage=self.placement.end(ended, device))
        self.room.freed()
        self.course.attempts += 1
        if ended.outcome.status in ("failed", "timed-out"):
            self.judge(ended, device)
        if ended.outcome.status != "done" or self.queue.awaited(cell_id):
            self.awaited.add(cell_id)
        self.clerks.write(partial(self.ledger.write, ended), partial(self.conclude, ended, device))

    def look_elsewhere(self) -> None:
        """Let a clerk look after the cells that other runners have."""
        if self.looking or not (self.pace.due or self.last_look == "asked"):
            return
        if self.last_look == "asked":
            self.last_look = "begun"
        cells = self.queue.at("elsewhere")
        self.looking = True
        self.clerks.write(
            partial(self.neighbours.look, cells), partial(self.looked_elsewhere, len(cells))
        )

    def looked_elsewhere(self, cells: int, seen: Seen) -> None:
        """Take in what a look has found."""
        self.looking = False
        if self.last_look == "begun":
            self.last_look = "over"
        self.told.update(c for c in seen.told if c in self.queue.cells and self.begins(c))
        for cell_id, state in seen.settled:
            if self.queue.place(cell_id) == "elsewhere":
                self.done_elsewhere(cell_id, state)
        for cell_id in seen.free:
            if self.queue.place(cell_id) == "elsewhere":
                self.put_again(cell_id)
        changed = bool(seen.settled or seen.free)
        self.pace.looked(changed=changed, cells=cells, idle=not self.running)

    def begins(self, cell_id: str) -> bool:
        """Return whether this run is yet to begin a cell."""
        return self.queue.place(cell_id) in ("ready", "waiting")

    def leaves(self) -> bool:
        """Return whether to leave what is left to others, after a last look at it."""
        if not self.options.leave_when_idle:
            return False
        under_way = self.clerks.asking or self.clerks.writing > int(self.looking)
        if self.running or under_way or self.queue.counts["ready"]:
            self.last_look = ""
        elif not self.last_look:
            self.last_look = "asked"
        return self.last_look == "over"

    def stop(self) -> None:
        """End what runs, and record it; wait for the records that are under way."""
        self.stopping = True
        for ended in self.engine.stop(lambda: self.interrupts.count > 1):
            self.finish(ended)
        while self.clerks.busy:
            self.clerks.wait(_POLL)
            # If the store is why we stop, the rest cannot be recorded either.
            with contextlib.suppress(StoreError):
                self.clerks.hand_out()


def listen(engine: Engine, news: int) -> bool:
    """Let an engine's ``poll`` return when a descriptor is readable; return whether it can."""
    offered = getattr(engine, "listen", None)
    if offered is not None:
        offered(news)
    return offered is not None
