"""The store: immutable records by cell, and what each cell's state is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.errors import StoreError
from bench.records.artifacts import known_sha256
from bench.records.carried import Attestation, Attestations, contradicts
from bench.records.codec import BrokenRecord, OtherFormat, load_record
from bench.records.freshness import Expectations, beyond_range, digests_of, stale_reasons
from bench.records.layout import CellFolder, Layout, Numbers
from bench.records.lease import TIME_TO_LIVE, live_owner
from bench.records.owner import Owner
from bench.records.record import Record, Status, chosen_in, same_numbers
from bench.spec.cell import CHOICE, Cell

log = logging.getLogger(__name__)
State = Literal["done", "stale", "failed", "interrupted", "running", "missing"]


@dataclass(frozen=True)
class CellState:
    """What the store knows of a cell.

    Attributes
    ----------
    state
        ``done`` (a fresh done record), ``stale`` (done, but ``reasons``), ``failed`` (the last
        attempt did not end as done), ``interrupted`` (the last attempt was stopped by the user),
        ``running`` (a live lease) or ``missing`` (also a done cell whose artifact is gone and
        needed by a cell that is not done).
    record
        The record that counts: of a done cell the oldest fresh one, else the newest.
    fresh
        All fresh done records, oldest first.
    reasons
        Of a stale record: ``code: UNIT``, ``settings: PATH``, ``data``, ``weights``,
        ``version: LIBRARY``, ``parent: ROLE``.
    failed
        Number of attempts that did not end as done.
    attempts
        Highest number of an attempt that left a record.
    owner
        Who is executing the cell, if it is running.
    carried
        Attempt to the attestations that carry it to today's code, of those among ``fresh`` that
        were made by earlier code.
    """

    state: State
    record: Record | None = None
    fresh: tuple[Record, ...] = ()
    reasons: tuple[str, ...] = ()
    failed: int = 0
    attempts: int = 0
    owner: Owner | None = None
    carried: Mapping[int, tuple[Attestation, ...]] = field(default_factory=dict)

    @property
    def carried_by(self) -> tuple[Attestation, ...]:
        """The attestations that carry the record that counts; none if today's code made it."""
        return self.carried.get(self.record.attempt, ()) if self.record is not None else ()

    @property
    def done(self) -> bool:
        """Whether a fresh done record exists."""
        return self.state == "done"

    @property
    def disagrees(self) -> bool:
        """Whether fresh records have other numbers than the one that counts."""
        first, *others = self.fresh or (None,)
        return first is not None and not all(
            same_numbers(first.outcome, other.outcome) for other in others
        )


MISSING = CellState("missing")
# Of a cell without a fresh record, by how its last attempt ended.
_STATES: Mapping[Status, State] = {
    "done": "stale", "failed": "failed", "timed-out": "failed", "cancelled": "interrupted",
}  # fmt: skip


class Store:
    """Records of cells in a folder; see ``docs/architecture.md`` for its layout.

    Reading needs no write permission. Leases are in :class:`bench.records.lease.Leases`.

    Attributes
    ----------
    broken
        Record files that could not be read, with the reason: reported, and treated as not there.
    foreign
        Records of an older or newer Retable, with what they say: treated as not there, and told
        of once.
    attestations
        What carries records of earlier code to today's.

    Parameters
    ----------
    assumed
        Attestations that are taken for true beside those that are here.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        ttl: float = TIME_TO_LIVE,
        assumed: Sequence[Attestation] = (),
    ) -> None:
        self.layout = Layout(Path(root).absolute())
        self.ttl = ttl
        self.broken: dict[Path, str] = {}
        self.foreign: dict[Path, str] = {}
        self.attestations = Attestations(self.layout, self.attempts, assumed)

    @property
    def root(self) -> Path:
        """Return the store's folder."""
        return self.layout.root

    def states(self, cells: Iterable[Cell], expected: Expectations) -> dict[str, CellState]:
        """Return each cell's state by id.

        A parent that is not among the cells is judged by whether it has a done record at all.

        Raises
        ------
        StoreError
            If the store is not a folder or cannot be read.
        """
        by_id = {cell.id: cell for cell in cells}
        parents = (parent.id for cell in by_id.values() for parent in cell.parents.values())
        try:
            if self.root.exists() and not self.root.is_dir():
                raise NotADirectoryError("it is not a folder")
            self.attestations.look()
            present = self.layout.present({*by_id, *parents})
            judge = _Judge(self, by_id, expected, present)
            states = {cell_id: judge.state(cell_id) for cell_id in by_id}
        except OSError as error:
            raise StoreError(
                f"the store cannot be read: {error.strerror or error}", file=self.root
            ) from None
        self._mark_lost_parents(by_id, states)
        return states

    def state(self, cell: Cell, expected: Expectations, parents: Iterable[Cell] = ()) -> CellState:
        """Return one cell's state; ``parents`` are its parents and theirs."""
        return self.states((cell, *parents), expected)[cell.id]

    def look(
        self,
        cell: Cell,
        expected: Expectations,
        parents: Mapping[str, CellState],
        numbers: Numbers | None = None,
    ) -> CellState:
        """Return one cell's state, with as few operations on files as its folder needs.

        Parameters
        ----------
        parents
            A parent's id to its state: what the cell may have started from.
        numbers
            What is in the cell's folder, where that has just been read.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        try:
            numbers = self.layout.cell(cell.id).numbers() if numbers is None else numbers
            if numbers.records:
                self.attestations.look()
            judge = _Judge(self, {cell.id: cell}, expected, {cell.id}, parents)
            return judge.look(cell.id, numbers)
        except OSError as error:
            raise StoreError(
                f"the store cannot be read: {error.strerror or error}", file=self.root
            ) from None

    def written(
        self,
        cell: Cell,
        expected: Expectations,
        parents: Mapping[str, CellState],
        attempt: int,
        content: bytes,
    ) -> CellState:
        """Return a cell's state by its only record, from the bytes that were just written."""
        try:
            record = _parsed(content, cell.id, attempt, cell, expected.fractions)
        except BrokenRecord as error:
            self._report(self.layout.cell(cell.id).record(attempt), str(error))
            return CellState("missing", attempts=attempt)
        judge = _Judge(self, {cell.id: cell}, expected, {cell.id}, parents)
        return judge.judged(cell.id, [record], Numbers(records=(attempt,)))

    def fresh(
        self, cell: Cell, expected: Expectations, parents: Iterable[Cell] = ()
    ) -> Record | None:
        """Return the record that counts for a cell, if it has a fresh done one."""
        state = self.state(cell, expected, parents)
        return state.record if state.done else None

    def attempts(self, cell_id: str) -> list[Record]:
        """Return all readable records of a cell, oldest first."""
        folder = self.layout.cell(cell_id)
        return self._read(cell_id, folder, folder.numbers().records)

    def find(self, prefix: str) -> str:
        """Return the id of the one cell in the store whose id begins with ``prefix``.

        Raises
        ------
        StoreError
            If none or several do.
        """
        found = self.layout.matching(prefix.lower())
        if len(found) == 1:
            return found[0]
        if not found:
            raise StoreError(
                f"no cell's id begins with {prefix!r}",
                file=self.root,
                remedy="`bench plan --json` and a leaderboard's CSV list the ids of cells",
            )
        shown = ", ".join(i[: len(prefix) + 6] for i in found[:5]) + (", …" if found[5:] else "")
        raise StoreError(
            f"{len(found)} cells' ids begin with {prefix!r}: {shown}",
            file=self.root,
            remedy="give more of its digits",
        )

    def log(self, cell_id: str, attempt: int) -> Path:
        """Return the file that holds an attempt's stdout and stderr; it may not exist."""
        return self.layout.cell(cell_id).log(attempt)

    def artifact(self, records: Iterable[Record], name: str) -> tuple[Record, Path, str] | None:
        """Return the first of a cell's records whose artifact of a name is still there and whole.

        With it come the artifact's path and SHA-256.
        """
        for record in records:
            artifact = record.outcome.artifacts.get(name)
            if artifact is not None:
                path = self.layout.cell(record.id).artifact(artifact.file)
                if known_sha256(path) == artifact.sha256:
                    return record, path, artifact.sha256
        return None

    def _mark_lost_parents(self, cells: Mapping[str, Cell], states: dict[str, CellState]) -> None:
        # A child that is to start needs its parent's file, and so on up to the first stage.
        todo = [cell for cell in cells.values() if not states[cell.id].done]
        while todo:
            for parent in todo.pop().parents.values():
                state = states.get(parent.id, MISSING)
                if state.done and not self._has_artifact(state.fresh, parent.artifact):
                    states[parent.id] = replace(state, state="missing")
                    todo.append(cells[parent.id])

    def _has_artifact(self, records: Iterable[Record], name: str) -> bool:
        # Whether its bytes are right is found when a child starts: hashing is not for a status.
        return any(
            self.layout.cell(record.id).artifact(record.outcome.artifacts[name].file).exists()
            for record in records
            if name in record.outcome.artifacts
        )

    def _read(
        self,
        cell_id: str,
        folder: CellFolder,
        numbers: Iterable[int],
        planned: Cell | None = None,
        fractions: Iterable[str] = (),
    ) -> list[Record]:
        records = []
        for number in numbers:
            try:
                with open(folder.record_name(number), "rb", buffering=0) as file:
                    record = _parsed(file.read(), cell_id, number, planned, fractions)
            except FileNotFoundError:
                continue
            except OtherFormat as error:
                self._report_foreign(folder.record(number), str(error))
            except (BrokenRecord, OSError) as error:
                self._report(folder.record(number), str(error))
            else:
                records.append(record)
        return records

    def _report(self, path: Path, reason: str) -> None:
        if path not in self.broken:
            self.broken[path] = reason
            log.warning("%s is not a readable record and is not used: %s", path, reason)

    def _report_foreign(self, path: Path, reason: str) -> None:
        if not self.foreign:
            log.warning("%s is not used: %s; so are others like it", path, reason)
        self.foreign[path] = reason

    def now(self) -> float:
        """Return the file server's time in seconds since the epoch."""
        # Only leases of other machines need the file server's clock; a reader may not be allowed
        # to touch anything.
        try:
            self.layout.clock.touch()
            return self.layout.clock.stat().st_mtime
        except OSError:
            return time.time()


def _parsed(
    content: bytes, cell_id: str, number: int, planned: Cell | None, fractions: Iterable[str]
) -> Record:
    record = load_record(content, planned)
    if (record.id, record.attempt) != (cell_id, number):
        raise BrokenRecord(f"it is attempt {record.attempt} at cell {record.id}")
    if wrong := beyond_range(record, fractions):
        raise BrokenRecord(wrong)
    return record


class _Judge:
    """Judges cells, each parent once; ``known`` are those that need no look."""

    def __init__(
        self,
        store: Store,
        cells: Mapping[str, Cell],
        expected: Expectations,
        present: set[str],
        known: Mapping[str, CellState] | None = None,
    ) -> None:
        self._store = store
        self._cells = cells
        self._expected = expected
        self._present = present
        self._now: float | None = None
        self._known: dict[str, CellState] = dict(known or {})

    def state(self, cell_id: str) -> CellState:
        known = self._known.get(cell_id)
        if known is None:
            known = self.look(cell_id) if cell_id in self._present else MISSING
            self._known[cell_id] = known
        return known

    def look(self, cell_id: str, numbers: Numbers | None = None) -> CellState:
        folder = self._store.layout.cell(cell_id)
        numbers = folder.numbers() if numbers is None else numbers
        records = self._store._read(
            cell_id, folder, numbers.records, self._cells.get(cell_id), self._expected.fractions
        )
        return self.judged(cell_id, records, numbers)

    def judged(self, cell_id: str, records: list[Record], numbers: Numbers) -> CellState:
        done = [record for record in records if record.done]
        fresh, reasons, carried = self._sift(cell_id, done)
        owner = None
        if not fresh and numbers.highest_lease > numbers.highest_record:
            folder = self._store.layout.cell(cell_id)
            # One touch of the clock for all cells.
            self._now = self._store.now() if self._now is None else self._now
            owner = live_owner(folder, numbers, self._now, self._store.ttl)
        newest = records[-1] if records else None
        state: State = "missing"
        if fresh:
            state = "done"
        elif owner is not None:
            state = "running"
        elif newest is not None:
            state = _STATES[newest.outcome.status]
        return CellState(
            state=state,
            record=fresh[0] if fresh else newest,
            fresh=tuple(fresh),
            reasons=reasons if state == "stale" else (),
            failed=len(records) - len(done),
            attempts=numbers.highest_record,
            owner=owner,
            carried=carried,
        )

    def _sift(
        self, cell_id: str, done: list[Record]
    ) -> tuple[list[Record], tuple[str, ...], dict[int, tuple[Attestation, ...]]]:
        cell = self._cells.get(cell_id)
        if cell is None:
            return done, (), {}
        parents = {
            role: digests_of(parent.artifact, self._usable(role, parent.id))
            for role, parent in cell.parents.items()
        }
        fresh: list[Record] = []
        reasons: tuple[str, ...] = ()
        carried: dict[int, tuple[Attestation, ...]] = {}
        today = self._expected.whole_code_of(cell)
        chosen = self._chosen(cell)
        for record in done:
            steps = self._store.attestations.steps(record, today)
            reasons = stale_reasons(
                record,
                cell,
                self._expected,
                parents,
                carried=bool(steps),
                candidate=chosen,
            )
            if not reasons:
                fresh.append(record)
            if steps:
                carried[record.attempt] = steps
        by_today = [record for record in fresh if record.attempt not in carried]
        # Whatever an attestation says: it does not hold for a cell that today's code belies.
        kept = [
            record
            for record in fresh
            if record.attempt not in carried or not any(contradicts(record, r) for r in by_today)
        ]
        return kept, reasons, carried

    def _usable(self, role: str, parent_id: str) -> tuple[Record, ...]:
        """Return the records of a parent that a cell may have started from.

        Of a choice it is the one that counts: all cells are by one choice, which the page tells.
        """
        fresh = self.state(parent_id).fresh
        return fresh[:1] if role == CHOICE else fresh

    def _chosen(self, cell: Cell) -> int | None:
        """Return what was chosen for a tuned cell, by the choice's own record if that is fresh."""
        if CHOICE not in cell.parents:
            return None
        usable = self._usable(CHOICE, cell.parents[CHOICE].id)
        return chosen_in(usable[0].outcome) if usable else None
