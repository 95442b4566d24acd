"""What dead runners have left in a store: leases, owner files, unfinished files, lost artifacts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import StoreError
from bench.records.bulletin import SUFFIX
from bench.records.layout import CellFolder
from bench.records.lease import TIME_TO_LIVE, living
from bench.records.owner import owner_of
from bench.records.store import Store

Kind = Literal["lease", "owner file", "unfinished file", "artifact", "saved state"]
# A runner elsewhere may have lost its network for a while, and its lease must not be lost by it.
DEAD_AFTER = 3600.0


@dataclass(frozen=True)
class Litter:
    """A file that nothing living needs; ``size`` is what the disk gets back, in bytes."""

    kind: Kind
    path: Path
    size: int


def litter(
    store: Store, *, artifacts: bool = False, dead_after: float = DEAD_AFTER
) -> list[Litter]:
    """Return what can be removed from a store while others work on it.

    A runner is dead if its process is known to be gone, or, elsewhere, without a heartbeat for
    ``dead_after`` seconds; one of this machine that is stopped is not. An unfinished file is
    litter where no live runner has its cell, and nobody has written to it for a minute.

    Parameters
    ----------
    artifacts
        Also artifacts that no record of an attempt that ended as done names, where all records
        of the cell can be read.
    """
    now = store.now()
    found = [
        Litter("owner file", path, _size(path))
        for path in _listed(store.layout.runners)
        if path.suffix in (".json", SUFFIX) and not _alive(_owner_file(path), now, dead_after)
    ]
    for folder in (store.root / "settling", store.layout.carried):
        found += _unfinished(_listed(folder), now)
    for cell_id in store.layout.matching(""):
        found += _of_cell(store, cell_id, artifacts, now, dead_after)
    return found


@contextmanager
def cleaning(store: Store) -> Iterator[None]:
    """Let no one else clean a store meanwhile.

    What two had found dead the one would remove, and the other its successor of the same name.

    Raises
    ------
    StoreError
        If another does just now.
    OSError
        If the store cannot be written.
    """
    with open(store.layout.cleaning, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("another `bench clean` is at work", file=store.root) from None
        # It ends with the process, however that ends.
        yield


def remove(store: Store, found: Iterable[Litter], *, dead_after: float = DEAD_AFTER) -> int:
    """Remove litter; return how many bytes the disk got back. Within :func:`cleaning`.

    Each lease and owner file is looked at once more: a name may have another owner by now.

    Raises
    ------
    OSError
        If a file cannot be removed.
    """
    freed = 0
    for one in found:
        owned = one.kind in ("lease", "owner file")
        owner = _owner_file(one.path)
        if owned and not _is_over(one.path) and _alive(owner, store.now(), dead_after):
            continue
        one.path.unlink(missing_ok=True)
        freed += one.size
    return freed


def _owner_file(path: Path) -> Path:
    """Return the owner file of a bulletin; any other file itself."""
    return path.with_suffix(".json") if path.suffix == SUFFIX else path


def _is_over(lease: Path) -> bool:
    """Whether a lease has its record beside it; an owner file never has."""
    return lease.suffix == ".lease" and lease.with_suffix(".json").exists()


def _of_cell(
    store: Store, cell_id: str, artifacts: bool, now: float, dead_after: float
) -> Iterator[Litter]:
    folder = store.layout.cell(cell_id)
    numbers = folder.numbers()
    live = False
    for number in numbers.leases:
        path = folder.lease(number)
        # A lease with its record beside it is over: its runner died before it let go.
        if number not in numbers.records and _alive(path, now, dead_after):
            live = True
        else:
            yield Litter("lease", path, _size(path))
    if live:
        return
    for number in numbers.claims:
        # Its runner may be about to write the record: only with the runner it goes.
        path = folder.claim(number)
        if not _alive(path, now, dead_after):
            yield Litter("lease", path, _size(path))
    files = _listed(folder.path)
    yield from _unfinished(files, now)
    if folder.progress in files:
        if not _superseded(store, cell_id, folder):
            # What an attempt that goes on from it has left, it needs.
            return
        yield Litter("saved state", folder.progress, _size(folder.progress))
    if artifacts:
        yield from _unnamed(store, cell_id, folder, files, now)


def _superseded(store: Store, cell_id: str, folder: CellFolder) -> bool:
    """Whether the last attempt at a cell is done, and a state was saved no later than that."""
    records = store.attempts(cell_id)
    if not records or not records[-1].done:
        return False
    try:
        record = folder.record(records[-1].attempt).stat()
        return folder.progress.stat().st_mtime <= record.st_mtime
    except FileNotFoundError:
        return False


def _unnamed(
    store: Store, cell_id: str, folder: CellFolder, files: list[Path], now: float
) -> Iterator[Litter]:
    records = store.attempts(cell_id)
    if len(records) < len(folder.numbers().records):
        # What a damaged record names may be wanted once it is mended.
        return
    named = {a.file for r in records if r.done for a in r.outcome.artifacts.values()}
    for path in files:
        number, _, rest = path.name.partition(".")
        if (
            number.isdigit()
            and rest not in ("json", "lease", "log", "claim")
            and path.name not in named
            and _old(path, now)
        ):
            yield Litter("artifact", path, _size(path))


def _unfinished(files: Iterable[Path], now: float) -> Iterator[Litter]:
    for path in files:
        if path.name.startswith(".") and path.suffix == ".part" and _old(path, now):
            yield Litter("unfinished file", path, _size(path))


def _alive(path: Path, now: float, dead_after: float) -> bool:
    if living(path, now, dead_after, least=dead_after) is not None:
        return True
    # However long it has been stopped, it may go on.
    owner = owner_of(path)
    return owner is not None and owner.stopped()


def _old(path: Path, now: float) -> bool:
    try:
        return now - path.stat().st_mtime > TIME_TO_LIVE
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0
    # A lease is a further name of its owner's file.
    return stat.st_size if stat.st_nlink == 1 else 0


def _listed(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
