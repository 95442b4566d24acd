"""Whether prepared files hold what was written, by the digests in their manifest."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.cache import CachePaths, data_root, read_json, write_json
from bench.files import file_sha256

# Files up to this size are read whole each time (at 1 to 2 GB/s), larger ones when they changed.
LARGE = 64 * 2**20
# A file may change twice within one tick of the file system's clock, so that its times tell
# nothing as long as they are as young as this (ns).
_UNSETTLED = 2_000_000_000


class Damaged(Exception):
    """A file of a prepared set does not hold what was written."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(str(file))


@dataclass(frozen=True)
class CheckedSet:
    """What `verify` found of a prepared set: ``damaged`` is the first file that is not whole."""

    name: str
    folder: Path
    damaged: Path | None


def described(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return what a manifest says of files: size and SHA-256 by name."""
    return {file.name: {"size": file.stat().st_size, "sha256": file_sha256(file)} for file in files}


def intact_manifest(paths: CachePaths, *, whole: bool = False) -> dict[str, Any] | None:
    """Return the manifest of a prepared set whose files are what it says; ``None`` without one.

    A large file is read only if its size, times or inode are not those it had when it was last
    read: whoever writes to a file changes its ctime, which cannot be set back.

    Parameters
    ----------
    whole
        Read large files in any case.

    Raises
    ------
    Damaged
        If the manifest or a file is not what was written.
    """
    if not paths.manifest.exists():
        return None
    manifest = read_json(paths.manifest)
    if manifest is None:
        raise Damaged(paths.manifest)
    checked = {} if whole else read_json(paths.checked) or {}
    found = {
        name: _checked(paths.folder / name, stated, checked.get(name))
        for name, stated in manifest["files"].items()
    }
    large = {name: state for name, state in found.items() if state[0] > LARGE and _settled(state)}
    if large and large != checked:
        # A cache that cannot be written is read whole each time.
        with contextlib.suppress(OSError):
            write_json(paths.checked, large)
    return manifest


def _checked(file: Path, stated: Mapping[str, Any], known: list[int] | None) -> list[int]:
    """Compare a file with its manifest; return its size, times and inode from before."""
    try:
        status = os.stat(file)
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        if status.st_size != stated["size"]:
            raise Damaged(file)
        trusted = status.st_size > LARGE and state == known
        if not trusted and file_sha256(file) != stated["sha256"]:
            raise Damaged(file)
    except OSError:
        raise Damaged(file) from None
    return state


def _settled(state: list[int]) -> bool:
    _, modified, changed, _ = state
    return time.time_ns() - max(modified, changed) > _UNSETTLED


def verify(cache: Path | None = None) -> Iterator[CheckedSet]:
    """Read every prepared set of a cache whole, and say of each whether it is what was written.

    What is damaged is made again when it is next used; a set that was never finished is passed
    over, since it is never read.

    Parameters
    ----------
    cache
        Folder of the cache; ``$RETABLE_CACHE`` or ``~/.cache/retable`` where not given.
    """
    for source in sorted(data_root(cache).glob("*/*/source.json")):
        if read_json(source) is None:
            yield CheckedSet(source.parts[-3], source.parent, source)
    for manifest in sorted(data_root(cache).glob("*/*/*/manifest.json")):
        damaged = None
        try:
            intact_manifest(CachePaths(manifest.parent), whole=True)
        except Damaged as found:
            damaged = found.file
        yield CheckedSet(manifest.parts[-4], manifest.parent, damaged)
