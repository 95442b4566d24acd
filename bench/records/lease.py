"""Leases: which runner may execute which cell, on one machine or over a network file system."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bench.errors import StoreError
from bench.files import beside, sync
from bench.records.codec import dump_record
from bench.records.layout import CellFolder, Layout, Numbers
from bench.records.owner import Owner, this_process
from bench.records.record import Record

TIME_TO_LIVE = 60.0
HEARTBEAT = 10.0


@dataclass(frozen=True)
class Lease:
    """The right to execute one attempt at a cell."""

    cell_id: str
    attempt: int
    folder: CellFolder


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


def living(file: Path, now: float, ttl: float) -> Owner | None:
    """Return the owner that a lease, or an owner file, tells of; None if it is dead."""
    try:
        # Opening, unlike stat, makes a network file system ask the server for the time.
        with open(file, "rb") as opened:
            beat = os.fstat(opened.fileno()).st_mtime
            owner = Owner.from_json(opened.read())
    except FileNotFoundError:
        return None
    owner = owner or Owner("unknown", "", 0, "", "")
    lives = owner.lives()
    if lives is None:
        lives = now - beat <= ttl
    return owner if lives else None


class Leases:
    """A runner's leases in one store. Use as a context: it keeps them alive by a thread.

    All leases of a runner are hard links to one owner file in ``runners/``, so that taking one
    is a single atomic step that fails if the name exists, content included, and one touch is the
    heartbeat of all.

    Parameters
    ----------
    layout
        Where the store lies.
    ttl, heartbeat
        Seconds.

    Raises
    ------
    StoreError
        On entering, if the store cannot be written to.
    """

    def __init__(
        self, layout: Layout, *, ttl: float = TIME_TO_LIVE, heartbeat: float = HEARTBEAT
    ) -> None:
        self.layout = layout
        self.run = uuid.uuid4().hex[:12]
        self.owner = this_process(self.run)
        self._file = layout.runners / f"{self.run}.json"
        self._ttl = ttl
        self._heartbeat = heartbeat
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
        self, cell_id: str, wanted: Callable[[], bool] = lambda: True, *, at_least: int = 1
    ) -> Lease | None:
        """Take the next attempt at a cell.

        Parameters
        ----------
        wanted
            Asked after the lease is taken: whether the cell still has to be executed.
        at_least
            Number of the attempt, unless it or a higher one was given.

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
            return self._claim(cell_id, folder, wanted, at_least)
        except OSError as error:
            raise unwritable(folder.path, error) from None

    def _claim(
        self, cell_id: str, folder: CellFolder, wanted: Callable[[], bool], at_least: int
    ) -> Lease | None:
        numbers = folder.numbers()
        if live_owner(folder, numbers, self.now(), self._ttl) is not None:
            return None
        attempt = max(numbers.next, at_least)
        folder.path.mkdir(parents=True, exist_ok=True)
        if not _link(self._file, folder.lease(attempt)):
            return None
        lease = self._held[cell_id, attempt] = Lease(cell_id, attempt, folder)
        # What we saw may be old: another may have taken, ended and released this very number.
        seen = folder.numbers()
        if seen.highest_record >= attempt or seen.highest_lease > attempt or not wanted():
            self.release(lease)
            return None
        return lease

    def commit(self, lease: Lease, record: Record) -> bool:
        """Write the record of a lease's attempt, whole or not at all, and release the lease.

        Returns
        -------
        bool
            False if a later attempt exists, or the lease is gone, because this runner was taken
            for dead: then the record is discarded.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        folder = lease.folder
        try:
            with beside(folder.record(lease.attempt)) as part:
                part.write_text(dump_record(record), encoding="utf-8")
                sync(part)
                if folder.numbers().next > lease.attempt + 1 or not self._has(lease):
                    return False
                if not _link(part, folder.record(lease.attempt)):
                    return False
            sync(folder.path)
        except OSError as error:
            raise unwritable(folder.path, error) from None
        finally:
            self.release(lease)
        return True

    def release(self, lease: Lease) -> None:
        """Give a lease up; its number is free again unless a record has it."""
        if self._held.pop((lease.cell_id, lease.attempt), None) is not None and self._has(lease):
            lease.folder.lease(lease.attempt).unlink(missing_ok=True)

    def _has(self, lease: Lease) -> bool:
        # Of a dead runner a lease may be cleaned away, and its number taken by another.
        try:
            return self._file.samefile(lease.folder.lease(lease.attempt))
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat):
            self.now()


def _link(file: Path, path: Path) -> bool:
    """Give a file a further name unless another has it; return whether it has it."""
    try:
        os.link(file, path)
    except FileExistsError:
        # A network file system may answer a repeated request of ours so.
        return path.samefile(file)
    return True


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the error for a store that cannot be written to."""
    return StoreError(
        f"the store cannot be written to: {error.strerror or error}",
        file=path,
        remedy="give another folder with --store, or free space and mend its permissions",
    )
