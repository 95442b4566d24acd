"""Leases: which runner may execute which cell, on one machine or over a network file system."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from bench.errors import StoreError
from bench.files import beside, sync
from bench.records.appear import create, link, write_synced
from bench.records.codec import dump_record
from bench.records.layout import CellFolder, Layout, Numbers
from bench.records.owner import Owner, this_process
from bench.records.record import Record

TIME_TO_LIVE = 60.0
HEARTBEAT = 10.0


@dataclass(frozen=True)
class Lease:
    """The right to execute one attempt at a cell.

    Attributes
    ----------
    seen
        Numbers of the records that were there when it was taken.
    passed
        Numbers below its own whose leases were passed over: their owners may yet come back.
    """

    cell_id: str
    attempt: int
    folder: CellFolder
    seen: tuple[int, ...] = ()
    passed: tuple[int, ...] = ()


def live_owner(folder: CellFolder, numbers: Numbers, now: float, ttl: float) -> Owner | None:
    """Return who is executing the cell now, if anyone.

    Only the highest attempt can be running: whoever took it had found the lower ones dead.

    Parameters
    ----------
    now
        Seconds since the epoch by the file server's clock.
    ttl
        Seconds without a heartbeat after which a process that cannot be looked at, or that is
        stopped, counts as dead.
    """
    if numbers.highest_lease <= numbers.highest_record:
        return None
    return living(folder.lease(numbers.highest_lease), now, ttl)


def living(file: Path, now: float, ttl: float, *, least: float = 0.0) -> Owner | None:
    """Return the owner that a lease, or an owner file, tells of; None if it is dead.

    An owner that has named a time to live of its own lives by that, but for ``least`` seconds.
    """
    try:
        owner, beat = _told(file)
    except FileNotFoundError:
        return None
    owner = owner or Owner("unknown", "", 0, "", "")
    lives = owner.lives()
    if lives is None:
        lives = now - beat <= max(owner.ttl or ttl, least)
    return owner if lives else None


def _told(file: Path) -> tuple[Owner | None, float]:
    """Return whom a lease tells of, and when that runner last gave a sign of life."""
    # Opening, unlike stat, makes a network file system ask the server for the time.
    with open(file, "rb") as opened:
        stat = os.fstat(opened.fileno())
        owner, beat = Owner.from_json(opened.read()), stat.st_mtime
    if file.suffix == ".json" or stat.st_nlink > 1 or owner is None or not owner.run.isalnum():
        return owner, beat
    # A lease that is no link, for want of links, is not touched by its owner's heartbeat.
    try:
        told, touched = _told(file.parents[3] / "runners" / f"{owner.run}.json")
    except FileNotFoundError:
        return owner, beat
    return told or owner, touched


class Leases:
    """A runner's leases in one store. Use as a context: it keeps them alive by a thread.

    All leases of a runner are hard links to one owner file in ``runners/``, so that taking one
    is a single atomic step that fails if the name exists, content included, and one touch is the
    heartbeat of all. Where the file system has no hard links, a lease is a copy, created with
    O_EXCL; whoever reads it looks for the heartbeat at the owner file.

    Parameters
    ----------
    layout
        Where the store lies.
    ttl, heartbeat
        Seconds: after which others count as dead that have named no time of their own, and
        between this runner's signs of life.
    own_ttl
        Seconds after which others are to take this runner for dead; theirs where it is None.

    Raises
    ------
    StoreError
        On entering, if the store cannot be written to.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        ttl: float = TIME_TO_LIVE,
        heartbeat: float = HEARTBEAT,
        own_ttl: float | None = None,
    ) -> None:
        self.layout = layout
        self.run = uuid.uuid4().hex[:12]
        self.owner = replace(this_process(self.run), ttl=own_ttl)
        self._file = layout.runners / f"{self.run}.json"
        self._ttl = ttl
        self._heartbeat = min(heartbeat, (own_ttl or ttl) / 4)
        self._linkless = False
        self._held: dict[tuple[str, int], Lease] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Leases:
        try:
            self.layout.cells.mkdir(parents=True, exist_ok=True)
            self.layout.runners.mkdir(parents=True, exist_ok=True)
            self._file.write_text(self.owner.to_json())
        except OSError as error:
            raise unwritable(self.layout.root, error) from None
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for lease in list(self._held.values()):
            self.release(lease)
        self._file.unlink(missing_ok=True)

    def now(self) -> float:
        """Return the file server's time in seconds since the epoch."""
        try:
            os.utime(self._file)
            return self._file.stat().st_mtime
        except OSError:
            return time.time()

    def claim(
        self,
        cell_id: str,
        wanted: Callable[[Numbers], bool] = lambda numbers: True,
        *,
        at_least: int = 1,
        numbers: Numbers | None = None,
    ) -> Lease | None:
        """Take the next attempt at a cell.

        Parameters
        ----------
        wanted
            Asked after the lease is taken, with what is then in the folder: whether the cell
            still has to be executed.
        at_least
            Number of the attempt, unless it or a higher one was given.
        numbers
            What is in the cell's folder, where that has just been read.

        Returns
        -------
        Lease or None
            None if another runner has it, or it is not wanted any more.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        folder = self.layout.cell(cell_id)
        try:
            numbers = folder.numbers() if numbers is None else numbers
            return self._claim(cell_id, folder, numbers, wanted, at_least)
        except OSError as error:
            raise unwritable(folder.path, error) from None

    def _claim(
        self,
        cell_id: str,
        folder: CellFolder,
        numbers: Numbers,
        wanted: Callable[[Numbers], bool],
        at_least: int,
    ) -> Lease | None:
        # Without a lease to judge nobody's clock is of interest.
        now = self.now() if numbers.highest_lease > numbers.highest_record else 0.0
        if live_owner(folder, numbers, now, self._ttl) is not None:
            return None
        attempt = max(numbers.next, at_least)
        if numbers == Numbers():
            folder.path.mkdir(parents=True, exist_ok=True)
        if not self._take(folder.lease(attempt)):
            return None
        lease = self._held[cell_id, attempt] = Lease(cell_id, attempt, folder)
        # What we saw may be old: another may have taken, ended and released this very number.
        seen = folder.numbers()
        overtaken = seen.highest_record >= attempt or seen.next > attempt + 1
        if overtaken or not wanted(seen):
            self.release(lease)
            return None
        passed = tuple(n for n in seen.leases if n < attempt and n not in seen.records)
        lease = self._held[cell_id, attempt] = replace(lease, seen=seen.records, passed=passed)
        return lease

    def commit(self, lease: Lease, record: Record) -> bool:
        """Write the record of a lease's attempt, whole or not at all, and release the lease.

        A runner may find that it was taken for dead: a later lease exists. What it has done is as
        good as what the other will do, so it is kept, if nothing else came before it. Exactly one
        of the two writes, by one rule: **the claim of a number is the right to write its record
        once a second runner is about**. Whoever was passed over must take the claim of each later
        number without a record, and whoever passed another over that of its own number; so two
        that contend always want one and the same file, which only one of them can create. Who has
        all its claims looks once more, and gives way to any record that has come since its lease.
        What remains is a runner that stands still between that look and the next step for as long
        as a third one takes to claim and execute the cell; then there are two done records, of
        which the older counts, as of any two. What did not end as done is never written late.

        Without hard links every record needs the claim of its number: the record is then renamed
        to its place, which by itself would not fail if there was another. A claim that a killed
        runner has left behind is never passed by: its number counts as taken.

        Returns
        -------
        bool
            False if the attempt's record is discarded: another has taken the cell over, or the
            lease is gone.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        return self.write(lease, dump_record(record).encode(), done=record.done)

    def write(self, lease: Lease, content: bytes, *, done: bool) -> bool:
        """Do what :meth:`commit` does, of a record's text."""
        folder = lease.folder
        claims: list[Path] = []
        try:
            with beside(folder.record(lease.attempt)) as part:
                write_synced(part, content)
                if not self._may_write(lease, done, claims) or not self._place(part, lease):
                    return False
            sync(folder.path)
        except OSError as error:
            raise unwritable(folder.path, error) from None
        finally:
            for claim in claims:
                claim.unlink(missing_ok=True)
            self.release(lease)
        return True

    def _may_write(self, lease: Lease, done: bool, claims: list[Path]) -> bool:
        """Return whether a record may be written; add the claims that were taken for it."""
        own = lease.attempt
        while True:
            numbers = lease.folder.numbers()
            later = [n for n in numbers.leases if n > own]
            claimed = {claim.name for claim in claims}
            others = [n for n in numbers.claims if n >= own
                      and lease.folder.claim(n).name not in claimed]  # fmt: skip
            if set(numbers.records) - set(lease.seen) or others or not self._has(lease):
                return False
            if later and not done:
                return False
            wanted = [own] if self._linkless or lease.passed else []
            missing = [path for path in map(lease.folder.claim, [*wanted, *later])
                       if path.name not in claimed]  # fmt: skip
            if not missing:
                return True
            for path in missing:
                if not self._take(path):
                    return False
                claims.append(path)

    def _place(self, part: Path, lease: Lease) -> bool:
        """Give a record its name, unless another has it."""
        path = lease.folder.record(lease.attempt)
        if not self._linkless:
            placed = link(part, path)
            if placed is not None:
                return placed
            self._linkless = True
            claim = lease.folder.claim(lease.attempt)
            if not claim.exists() and not self._take(claim):
                return False
        if path.exists():
            return False
        os.replace(part, path)
        lease.folder.claim(lease.attempt).unlink(missing_ok=True)
        return True

    def release(self, lease: Lease) -> None:
        """Give a lease up; its number is free again unless a record has it."""
        if self._held.pop((lease.cell_id, lease.attempt), None) is not None and self._has(lease):
            lease.folder.lease(lease.attempt).unlink(missing_ok=True)

    def _take(self, path: Path) -> bool:
        """Take a name for this runner unless it is taken: a lease's, or a claim's."""
        if not self._linkless:
            taken = link(self._file, path)
            if taken is not None:
                return taken
            self._linkless = True
        return create(path, self.owner.to_json().encode())

    def _has(self, lease: Lease) -> bool:
        # Of a dead runner a lease may be cleaned away, and its number taken by another.
        path = lease.folder.lease(lease.attempt)
        try:
            if self._file.samefile(path):
                return True
            owner = Owner.from_json(path.read_bytes()) if self._linkless else None
        except FileNotFoundError:
            return False
        return owner is not None and owner.run == self.run

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat):
            self.now()


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the error for a store that cannot be written to."""
    return StoreError(
        f"the store cannot be written to: {error.strerror or error}",
        file=path,
        remedy="give another folder with --store, or free space and mend its permissions",
    )
