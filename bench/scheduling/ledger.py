"""What a run asks of the store and writes to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.records.freshness import Expectations
from bench.records.lease import Lease, Leases
from bench.records.record import (
    Failure,
    Outcome,
    Record,
    Usage,
    candidate_of,
    earlier_seconds,
)
from bench.records.store import CellState, Store
from bench.scheduling.engines.engine import Ended
from bench.scheduling.job import ParentArtifact
from bench.spec.cell import Cell


@dataclass(frozen=True)
class Held:
    """A lease this run holds, with when its attempt began."""

    lease: Lease
    since: datetime
    monotonic: float


class Ledger:
    """The store as one run sees it.

    Parameters
    ----------
    cells
        All cells of the plan by id.
    states
        Their states when the run began.
    keep
        Names of the artifacts that are needed of every cell that can leave them, whether or not
        another starts from it.
    beside
        A cell's id to what an attempt at it leaves too; a cell done without is not done again.
    """

    def __init__(
        self,
        store: Store,
        leases: Leases,
        cells: Mapping[str, Cell],
        expected: Expectations,
        states: Mapping[str, CellState],
        *,
        keep: frozenset[str] = frozenset(),
        beside: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._cells = cells
        self._expected = expected
        self._baseline = {cell_id: state.attempts for cell_id, state in states.items()}
        self._held: dict[str, Held] = {}
        # Artifacts that cells of the plan start from; of those, what one that is not done needs.
        self._asked = {cell_id: set(names) for cell_id, names in (beside or {}).items()}
        self._needed: dict[str, set[str]] = {}
        for cell_id, state in states.items():
            wanted = {name for name in keep if cells[cell_id].can_leave(name)}
            self._needed.setdefault(cell_id, set()).update(wanted)
            for parent in cells[cell_id].parents.values():
                self._asked.setdefault(parent.id, set()).add(parent.artifact)
                if not state.done:
                    self._needed.setdefault(parent.id, set()).add(parent.artifact)

    @property
    def elapsed(self) -> float:
        """Sum of the seconds since the attempts now held began."""
        now = time.monotonic()
        return sum(now - held.monotonic for held in self._held.values())

    def keep(self, cell_id: str) -> frozenset[str]:
        """Return the names of the artifacts that an attempt at a cell must leave."""
        return frozenset(self._asked.get(cell_id, set()) | self._needed.get(cell_id, set()))

    def code(self, cell_id: str) -> Mapping[str, str]:
        """Return the code digests that a cell's record must have."""
        return self._expected.code_of(self._cells[cell_id])

    def state(self, cell_id: str) -> CellState:
        """Return a cell's state now."""
        return self._store.state(self._cells[cell_id], self._expected, self._ancestors(cell_id))

    def broken(self, cell_id: str) -> str:
        """Return what is wrong with the newest of a cell's records that is broken, if one is."""
        folder = self._store.layout.cell(cell_id).path
        found = [path for path in self._store.broken if path.parent == folder]
        return self._store.broken[max(found)] if found else ""

    def settled(self, cell_id: str) -> bool:
        """Return whether nothing is to be done: a fresh record, and the artifacts needed of it."""
        fresh = self.state(cell_id).fresh
        return bool(fresh) and all(
            self._store.artifact(fresh, name) is not None for name in self._needed.get(cell_id, ())
        )

    def parents(self, cell_id: str) -> Mapping[str, ParentArtifact] | str:
        """Return what a cell starts from, or the id of the parent whose artifact is gone."""
        found = {}
        for role, parent in self._cells[cell_id].parents.items():
            self._needed.setdefault(parent.id, set()).add(parent.artifact)
            artifact = self._store.artifact(self.state(parent.id).fresh, parent.artifact)
            if artifact is None:
                return parent.id
            record, path, sha256 = artifact
            found[role] = ParentArtifact(
                self._cells[parent.id], parent.artifact, record.attempt, path, sha256
            )
        return found

    def failures(self, cell_id: str) -> list[tuple[int, Failure]]:
        """Return attempt and failure of what failed since the run began, by any runner."""
        return [
            (record.attempt, record.outcome.failure)
            for record in self._store.attempts(cell_id)
            if record.attempt > self._baseline[cell_id]
            and record.outcome.status in ("failed", "timed-out")
            and record.outcome.failure is not None
        ]

    def claim(self, cell_id: str) -> Lease | None:
        """Take the next attempt at a cell that is not settled."""
        lease = self._leases.claim(cell_id, lambda: not self.settled(cell_id))
        if lease is not None:
            self._held[cell_id] = Held(lease, datetime.now(UTC), time.monotonic())
        return lease

    def give_back(self, cell_id: str) -> None:
        """Let go of an attempt that has not begun: it leaves nothing, and its number is free."""
        self._leases.release(self._held.pop(cell_id).lease)

    def commit(self, ended: Ended) -> bool:
        """Write an attempt's record; False if another runner has taken the cell over."""
        held = self._held.pop(ended.job.cell.id)
        seconds = ended.seconds + earlier_seconds(ended.outcome)
        record = self._record(held, ended.outcome, seconds, ended.usage)
        written = self._leases.commit(held.lease, record)
        if written and _spent(ended.outcome):
            # Only now: until the record is there, a saved state is all that there is.
            with contextlib.suppress(OSError):
                held.lease.folder.progress.unlink(missing_ok=True)
        return written

    def commit_parent_failure(self, cell_id: str, failure: Failure) -> None:
        """Record that a cell cannot start, unless its last record says just that."""

        def news() -> bool:
            records = self._store.attempts(cell_id)
            return not records or records[-1].outcome.failure != failure

        lease = self._leases.claim(cell_id, news)
        if lease is not None:
            held = Held(lease, datetime.now(UTC), time.monotonic())
            outcome = Outcome("failed", failure=failure)
            self._leases.commit(lease, self._record(held, outcome, 0.0))

    def _record(
        self, held: Held, outcome: Outcome, seconds: float, usage: Usage | None = None
    ) -> Record:
        return Record(
            cell=self._cells[held.lease.cell_id].to_json(candidate_of(outcome)),
            attempt=held.lease.attempt,
            started=held.since.isoformat(timespec="seconds"),
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            outcome=outcome,
            usage=usage,
        )

    def _ancestors(self, cell_id: str) -> Iterator[Cell]:
        for parent in self._cells[cell_id].parents.values():
            yield self._cells[parent.id]
            yield from self._ancestors(parent.id)


def _spent(outcome: Outcome) -> bool:
    """Whether no later attempt is to go on from a saved state: it is done, or fails as it did."""
    kind = outcome.failure.kind if outcome.failure is not None else None
    return outcome.status == "done" or kind in ("not-a-number", "user-error")
