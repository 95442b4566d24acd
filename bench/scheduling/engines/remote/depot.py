"""A folder on a node that keeps what has come there, for as long as its process lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path

from bench.scheduling.engines.remote.tree import Tree

_PREFIX = f"retable-node-{os.getuid()}-"
_ALIVE = "alive"


class Depot:
    """Trees by their digests, and a folder for each job, in a folder of this process's own.

    Parameters
    ----------
    above
        Where to make it; the system's folder for temporary files where it is None.
    """

    def __init__(self, above: Path | None = None) -> None:
        where = above or Path(tempfile.gettempdir())
        _sweep(where)
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
        # Held as long as the process lives, however it ends: others may tell by it.
        self._lock = os.open(self.root / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.root / "trees").mkdir()
        self._taking = threading.Lock()

    def take(self, tree: Tree, content: bytes | memoryview) -> None:
        """Keep a tree that has come; raises ValueError if it is not what it should be."""
        place = self.path(tree)
        # Several jobs may bring the same.
        with self._taking:
            if place.is_dir():
                return
            part = Path(tempfile.mkdtemp(dir=self.root))
            try:
                tree.unpack(content, part)
                os.rename(part, place)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def path(self, tree: Tree) -> Path:
        """Return the folder of a tree, whether or not it has come."""
        return self.root / "trees" / tree.digest

    def job_folder(self, cell_id: str, attempt: int) -> Path:
        """Return a new folder for an attempt, with as many folders above it as in a store."""
        folder = self.root / "jobs" / f"{attempt:04d}" / cell_id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)
        os.close(self._lock)


def _sweep(where: Path) -> None:
    """Remove what processes have left that were killed."""
    for folder in where.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = os.open(folder / _ALIVE, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
