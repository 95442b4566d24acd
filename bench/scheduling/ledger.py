"""What a run asks of the store and writes to it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.errors import StoreError
from bench.records.codec import dump_record
from bench.records.freshness import Expectations
from bench.records.layout import Numbers
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
from bench.scheduling.retries import verdict
from bench.spec.cell import Cell


@dataclass(frozen=True)
class Held:
    """A lease this run holds, with when its attempt began."""

    lease: Lease
    since: datetime
    monotonic: float


@dataclass(frozen=True)
class Approach:
    """What has come of going to begin a cell: at most one of these; none if others have it.

    Attributes
    ----------
    lease, parents
        The right to execute it, and what it starts from.
    settled
        Its state: somebody else has done it.
    over
        The last attempt and its failure: it has failed often enough.
    gone
        Id of a parent whose artifact is gone.
    """

    lease: Lease | None = None
    parents: Mapping[str, ParentArtifact] = field(default_factory=dict)
    settled: CellState | None = None
    over: tuple[int, Failure] | None = None
    gone: str = ""


@dataclass(frozen=True)
class Written:
    """What has come of writing an attempt's record.

    Attributes
    ----------
    kept
        Whether it was written, and not discarded since another has the cell.
    state
        The cell's then; None after an attempt that did not end as done.
    settled
        Whether nothing more is to be done for the cell.
    failures
        Of an attempt that did not end as done, what :meth:`Ledger.failures` says then.
    """

    kept: bool
    state: CellState | None = None
    settled: bool = False
    failures: Sequence[tuple[int, Failure]] = ()


class Ledger:
    """The store as one run sees it; :mod:`bench.scheduling.clerks` call it from several threads.

    It remembers the states of cells that were done, as parents of others: what it has written or
    read itself is not read again. A child that is stale by such a state is looked at anew.

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
    tell
        Is told of each cell that this run has let go of.
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
        tell: Callable[[str], None] = lambda cell_id: None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._cells = cells
        self._expected = expected
        self._baseline = {cell_id: state.attempts for cell_id, state in states.items()}
        self._held: dict[str, Held] = {}
        self._done = {cell_id: state for cell_id, state in states.items() if state.fresh}
        self._lock = threading.Lock()
        self._tell = tell
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
        return sum(now - held.monotonic for held in list(self._held.values()))

    def keep(self, cell_id: str) -> frozenset[str]:
        """Return the names of the artifacts that an attempt at a cell must leave."""
        with self._lock:
            return frozenset(self._asked.get(cell_id, set()) | self._needed.get(cell_id, set()))

    def code(self, cell_id: str) -> Mapping[str, str]:
        """Return the code digests that a cell's record must have."""
        return self._expected.code_of(self._cells[cell_id])

    def state(self, cell_id: str, numbers: Numbers | None = None) -> CellState:
        """Return a cell's state now; ``numbers`` are what has just been read of its folder."""
        state = self._look(cell_id, numbers)
        doubtful = any(why.startswith(("parent", "settings")) for why in state.reasons)
        if doubtful and self._cells[cell_id].parents:
            # What is remembered of its parents may be old.
            for ancestor in self._ancestors(cell_id):
                self._done.pop(ancestor.id, None)
            state = self._look(cell_id, None)
        return state

    def _look(self, cell_id: str, numbers: Numbers | None) -> CellState:
        cell = self._cells[cell_id]
        state = self._store.look(cell, self._expected, self._states_of_parents(cell), numbers)
        self._remember(cell_id, state)
        return state

    def _states_of_parents(self, cell: Cell) -> dict[str, CellState]:
        found = {}
        for parent in cell.parents.values():
            known = self._done.get(parent.id)
            found[parent.id] = known if known is not None else self._look(parent.id, None)
        return found

    def _remember(self, cell_id: str, state: CellState) -> None:
        if state.fresh:
            self._done[cell_id] = state
        else:
            self._done.pop(cell_id, None)

    def broken(self, cell_id: str) -> str:
        """Return what is wrong with the newest of a cell's records that is broken, if one is."""
        folder = self._store.layout.cell(cell_id).path
        found = [path for path in self._store.broken if path.parent == folder]
        return self._store.broken[max(found)] if found else ""

    def settled(self, cell_id: str, state: CellState) -> bool:
        """Return whether nothing is to be done: a fresh record, and the artifacts needed of it."""
        with self._lock:
            needed = tuple(self._needed.get(cell_id, ()))
        return bool(state.fresh) and all(
            self._store.artifact(state.fresh, name) is not None for name in needed
        )

    def approach(self, cell_id: str, retries: int) -> Approach:
        """Take the next attempt at a cell, unless there is a reason not to.

        Raises
        ------
        StoreError
            If the store cannot be read or written.
        """
        numbers = self.numbers(cell_id)
        if numbers.records:
            state = self.state(cell_id, numbers)
            if self.settled(cell_id, state):
                return Approach(settled=state)
            failures = self.failures(cell_id, numbers)
            if failures and verdict([failure for _, failure in failures], retries) == "over":
                return Approach(over=failures[-1])
        parents = self.parents(cell_id)
        if isinstance(parents, str):
            return Approach(gone=parents)

        def wanted(now: Numbers) -> bool:
            # What was there before has been judged.
            if now.records == numbers.records:
                return True
            return not self.settled(cell_id, self.state(cell_id, now))

        lease = self._leases.claim(cell_id, wanted, numbers=numbers)
        if lease is None:
            state = self.state(cell_id)
            return Approach(settled=state if self.settled(cell_id, state) else None)
        self._held[cell_id] = Held(lease, datetime.now(UTC), time.monotonic())
        return Approach(lease, parents)

    def numbers(self, cell_id: str) -> Numbers:
        """Return what is in a cell's folder.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        folder = self._store.layout.cell(cell_id)
        try:
            return folder.numbers()
        except OSError as error:
            raise StoreError(
                f"the store cannot be read: {error.strerror or error}", file=folder.path
            ) from None

    def parents(self, cell_id: str) -> Mapping[str, ParentArtifact] | str:
        """Return what a cell starts from, or the id of the parent whose artifact is gone."""
        found = {}
        cell = self._cells[cell_id]
        states = self._states_of_parents(cell)
        for role, parent in cell.parents.items():
            with self._lock:
                self._needed.setdefault(parent.id, set()).add(parent.artifact)
            artifact = self._store.artifact(states[parent.id].fresh, parent.artifact)
            if artifact is None:
                # Another attempt at it may have come meanwhile.
                again = self._look(parent.id, None)
                artifact = self._store.artifact(again.fresh, parent.artifact)
            if artifact is None:
                return parent.id
            record, path, sha256 = artifact
            found[role] = ParentArtifact(
                self._cells[parent.id], parent.artifact, record.attempt, path, sha256
            )
        return found

    def failures(self, cell_id: str, numbers: Numbers | None = None) -> list[tuple[int, Failure]]:
        """Return attempt and failure of what failed since the run began, by any runner."""
        if numbers is not None and numbers.highest_record <= self._baseline[cell_id]:
            return []
        return [
            (record.attempt, record.outcome.failure)
            for record in self._store.attempts(cell_id)
            if record.attempt > self._baseline[cell_id]
            and record.outcome.status in ("failed", "timed-out")
            and record.outcome.failure is not None
        ]

    def give_back(self, cell_id: str) -> None:
        """Let go of an attempt that has not begun: it leaves nothing, and its number is free."""
        self._leases.release(self._held.pop(cell_id).lease)
        self._tell(cell_id)

    def write(self, ended: Ended) -> Written:
        """Write an attempt's record, unless another runner has taken the cell over.

        Raises
        ------
        StoreError
            If the store cannot be read or written.
        """
        cell = ended.job.cell
        held = self._held.pop(cell.id)
        seconds = ended.seconds + earlier_seconds(ended.outcome)
        record = self._record(held, ended.outcome, seconds, ended.usage)
        content = dump_record(record).encode()
        kept = self._leases.write(held.lease, content, done=record.done)
        if kept and _spent(ended.outcome):
            # Only now: until the record is there, a saved state is all that there is.
            with contextlib.suppress(OSError):
                held.lease.folder.progress.unlink(missing_ok=True)
        self._tell(cell.id)
        if kept and not record.done:
            return Written(True, failures=self.failures(cell.id))
        if kept and held.lease.attempt == 1:
            # The only record there is, judged by the bytes that were written.
            parents = self._states_of_parents(cell)
            state = self._store.written(cell, self._expected, parents, 1, content)
            self._remember(cell.id, state)
        if not kept or held.lease.attempt > 1 or not state.fresh:
            state = self.state(cell.id)
        return Written(kept, state, self.settled(cell.id, state))

    def commit_parent_failure(self, cell_id: str, failure: Failure) -> None:
        """Record that a cell cannot start, unless its last record says just that."""

        def news(numbers: Numbers) -> bool:
            records = self._store.attempts(cell_id) if numbers.records else []
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
