"""What a store says is left of a plan since a fleet began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.records.record import Failure
from bench.records.store import CellState, Store
from bench.scheduling.retries import verdict
from bench.spec.cell import PlannedCell


@dataclass(frozen=True)
class Outlook:
    """Ids of cells by what is to become of them.

    Attributes
    ----------
    failed
        Given up since the fleet began, and all that start from them.
    running
        A living runner has them.
    open
        Could be begun now: their parents are done.
    waiting
        A parent is not done.
    """

    done: frozenset[str]
    failed: frozenset[str]
    running: frozenset[str]
    open: frozenset[str]
    waiting: frozenset[str]

    @property
    def ended(self) -> bool:
        """Whether no cell is left."""
        return not (self.running or self.open or self.waiting)


def outlook(
    plan: Sequence[PlannedCell],
    states: Mapping[str, CellState],
    store: Store,
    since: Mapping[str, int],
    retries: int,
) -> Outlook:
    """Return what is left of a plan.

    Parameters
    ----------
    plan
        Parents before children.
    since
        Attempts that each cell had when the fleet began: what failed before is tried again.
    """
    places: dict[str, str] = {}
    for planned in plan:
        cell = planned.cell
        if cell.id in places:
            continue
        state = states[cell.id]
        parents = {places[parent.id] for parent in cell.parents.values()}
        if state.done:
            places[cell.id] = "done"
        elif state.state == "running":
            places[cell.id] = "running"
        elif "failed" in parents or _given_up(cell.id, state, store, since, retries):
            places[cell.id] = "failed"
        else:
            places[cell.id] = "open" if parents <= {"done"} else "waiting"
    return Outlook(
        *(
            frozenset(cell_id for cell_id, place in places.items() if place == wanted)
            for wanted in ("done", "failed", "running", "open", "waiting")
        )
    )


def _given_up(
    cell_id: str, state: CellState, store: Store, since: Mapping[str, int], retries: int
) -> bool:
    """Return whether a pilot has given a cell up, or another would come to nothing as well."""
    before = since.get(cell_id, 0)
    if state.attempts <= before:
        return False
    new = [record for record in store.attempts(cell_id) if record.attempt > before]
    done = sum(record.outcome.status == "done" for record in new)
    if state.state == "stale":
        return done > 0
    if state.state == "missing":
        # Once its file may have been removed; twice it leaves none.
        return done > 1
    failures = [
        record.outcome.failure
        for record in new
        if record.outcome.status in ("failed", "timed-out")
        and record.outcome.failure is not None
        # Its parent's failure says whether it can begin.
        and record.outcome.failure.kind != "parent"
    ]
    return state.state == "failed" and bool(failures) and verdict(failures, retries) == "over"


def why_failed(state: CellState) -> tuple[int, Failure]:
    """Return the attempt and the failure of a cell that was given up."""
    record = state.record
    if record is not None and record.outcome.failure is not None:
        return record.attempt, record.outcome.failure
    attempt = record.attempt if record is not None else state.attempts
    if state.state == "stale":
        reasons = ", ".join(state.reasons)
        return attempt, Failure(
            "error", f"its record is stale at once ({reasons}): edited meanwhile?"
        )
    if state.state == "missing" and state.attempts:
        return attempt, Failure("error", "it leaves no file for the cells that start from it")
    return 0, Failure("parent", "a cell that it starts from has failed")
