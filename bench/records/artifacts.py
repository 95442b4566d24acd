"""Files that attempts leave for others: placed whole, digested, checked by whoever reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from bench.errors import StoreError
from bench.files import bytes_sha256, file_sha256, whole
from bench.records.layout import CellFolder
from bench.records.record import Artifact


def place(
    folder: Path, attempt: int, name: str, suffix: str, write: Callable[[Path], object]
) -> Artifact:
    """Write an attempt's artifact whole or not at all, and take its digest.

    Parameters
    ----------
    folder
        The cell's folder in the store; it exists.
    name
        What the artifact is called, such as ``checkpoint`` or ``checkpoint@step 300``.
    suffix
        Of the file, with its dot: ``.safetensors``.
    write
        Writes the content to the path it is given.

    Raises
    ------
    StoreError
        If the folder cannot be written to.
    """
    path = CellFolder(str(folder)).artifact_path(attempt, name, suffix)
    try:
        with whole(path) as part:
            write(part)
            digest = file_sha256(part)
    except OSError as error:
        raise StoreError(
            f"the artifact {name!r} cannot be written: {error.strerror or error}",
            file=path,
            remedy="give another folder with --store, or free space and mend its permissions",
        ) from error
    return Artifact(path.name, digest)


def read_artifact(path: Path, sha256: str) -> bytes:
    """Return an artifact's bytes, which are those that were digested when it was written.

    Raises
    ------
    StoreError
        If the file cannot be read, or has other bytes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the artifact cannot be read: {error.strerror or error}", file=path
        ) from None
    if bytes_sha256(content) != sha256:
        raise StoreError(
            "the artifact's bytes are not those that were written",
            file=path,
            remedy="remove the file: the cell that left it will run again",
        )
    return content


@lru_cache(maxsize=65536)
def _sha256_of_version(path: str, _size: int, _mtime_ns: int) -> str:
    return file_sha256(path)


def known_sha256(path: Path | str) -> str | None:
    """Return the SHA-256 of a file, hashed once while size and time stay; None if it is gone.

    Good for saying a state, not for trusting what is then loaded: see :func:`read_artifact`.
    """
    try:
        stat = os.stat(path)
        return _sha256_of_version(str(path), stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None
