"""The digests by which the Hub knows files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Digests:
    """A file's size, the SHA-256 of its bytes, and git's SHA-1 of it as a blob."""

    size: int
    sha256: str
    git_sha1: str


def digests_of(path: Path) -> Digests:
    """Return a file's digests, read once."""
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            git.update(chunk)
    return Digests(size, sha256.hexdigest(), git.hexdigest())
