"""Files that appear whole or not at all, and the digests of their bytes."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield an unused name in the folder of ``path``; what then still has that name is removed."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a name to write a file to; if nothing is raised, the file replaces ``path`` at once.

    Parameters
    ----------
    path
        In an existing folder.
    durable
        Wait until the bytes, and the new name, are on the disk. Without it the file may be empty
        after a power failure: only for what is made again at no cost.

    Raises
    ------
    OSError
        If it cannot be written; ``path`` is then what it was.
    """
    with beside(path) as part:
        yield part
        if durable:
            sync(part)
        os.replace(part, path)
    if durable:
        sync(path.parent)


def write_whole(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write bytes, or text as UTF-8, to a file as :func:`whole` does."""
    with whole(path, durable=durable) as part:
        part.write_bytes(_bytes(content))


def write_once(path: Path, content: bytes | str) -> None:
    """Write a file that must not be there yet: of several writers one succeeds.

    Raises
    ------
    FileExistsError
        If it is there.
    OSError
        If it cannot be written.
    """
    with beside(path) as part:
        part.write_bytes(_bytes(content))
        sync(part)
        # Unlike a rename it never replaces, and unlike O_EXCL it appears with its content.
        os.link(part, path)
    sync(path.parent)


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


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_sha256(content: bytes | memoryview) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
