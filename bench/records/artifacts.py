"""Files that attempts leave for others: placed whole, known by their digest."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from bench.records.record import Artifact


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=65536)
def _sha256_of_version(path: str, _size: int, _mtime_ns: int) -> str:
    return sha256(path)


def known_sha256(path: Path | str) -> str | None:
    """Return the SHA-256 of a file, hashed once while size and time stay; None if it is gone."""
    try:
        stat = os.stat(path)
        return _sha256_of_version(str(path), stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None


def place(folder: Path, file: str, write: Callable[[Path], object]) -> Artifact:
    """Write a file into a folder whole or not at all.

    Parameters
    ----------
    folder
        An existing folder.
    file
        Name in it; what is there is replaced.
    write
        Writes the content to the path it is given.

    Returns
    -------
    Artifact
        The name and the digest of what was written.
    """
    part = folder / f".{file}.{uuid.uuid4().hex[:12]}.part"
    try:
        write(part)
        sync(part)
        digest = sha256(part)
        part.replace(folder / file)
    finally:
        part.unlink(missing_ok=True)
    sync(folder)
    return Artifact(file, digest)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        # Some network file systems refuse fsync of a folder; they sync names themselves.
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
