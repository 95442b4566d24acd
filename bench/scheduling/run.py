"""A run: brings every cell of a plan to its end, beside whoever else works on the store."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Collection, Mapping, Sequence

from bench.records.bulletin import Bulletin
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.store import CellState, Store
from bench.scheduling.clerks import Clerks
from bench.scheduling.course import Course
from bench.scheduling.elsewhere import Neighbours
from bench.scheduling.engines.engine import Engine
from bench.scheduling.interrupts import Interrupts
from bench.scheduling.ledger import Ledger
from bench.scheduling.options import OnDone, RunOptions
from bench.scheduling.order import guess, ways
from bench.scheduling.placement import Placement
from bench.scheduling.progress import Progress, Silence
from bench.scheduling.queue import Queue
from bench.scheduling.runner import Runner
from bench.scheduling.slots import Slots
from bench.scheduling.summary import RunSummary
from bench.spec.cell import Cell, PlannedCell, Resources


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
            if state.done and not lacks(options.keep, cells[cell_id], state, store)
        ]
        if len(done) < len(queue.cells):
            queue.prefer(ways(queue.cells, guess(queue.cells.values(), states)))
        if options.shuffled:
            queue.shuffle(random.Random())
        queue.open(done)
        course = Course(queue, slots, suites or {})
        if not queue.unfinished:
            return course.summary(started, store)
        with (
            Leases(store.layout, ttl=store.ttl, own_ttl=options.ttl) as leases,
            contextlib.closing(Bulletin(store.layout, leases.run)) as bulletin,
            Interrupts(raises=engine.blocking) as interrupts,
            Clerks() as clerks,
        ):
            ledger = Ledger(
                store, leases, cells, expected, states,
                keep=options.keep, beside=artifacts, tell=bulletin.tell,
            )  # fmt: skip
            neighbours = Neighbours(store, leases, ledger, bulletin)
            placement = Placement(slots, cells, like_failures=options.like_failures)
            placement.learn(record for state in states.values() if (record := state.record))
            Runner(
                queue, ledger, neighbours, clerks, engine, placement, resources or {}, options,
                progress, course, interrupts, on_done,
            ).run()  # fmt: skip
        return course.summary(started, store, interrupts.count > 0)
    finally:
        engine.close()


def lacks(names: frozenset[str], cell: Cell, state: CellState, store: Store) -> bool:
    """Return whether a done cell is to be done again, for artifacts that it has not kept."""
    return any(cell.can_leave(n) and store.artifact(state.fresh, n) is None for n in names)
