"""What a store says is left of a plan since a fleet began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    if state.state != "failed" or state.attempts <= since.get(cell_id, 0):
        return False
    failures = [
        record.outcome.failure
        for record in store.attempts(cell_id)
        if record.attempt > since.get(cell_id, 0)
        and record.outcome.status in ("failed", "timed-out")
        and record.outcome.failure is not None
        # Its parent's failure says whether it can begin.
        and record.outcome.failure.kind != "parent"
    ]
    return bool(failures) and verdict(failures, retries) == "over"
