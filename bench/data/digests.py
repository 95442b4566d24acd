"""Digests of datasets: how they are made, and how to know one without reading the data.

Imports neither torch nor datasets: staleness is checked with this before any work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import CachePaths, read_json, write_json
from bench.data.identity import known_entry, source_identity
from bench.data.prepared import Split
from bench.errors import UserError
from bench.spec.cell import Resources


class RowDigest:
    """SHA-256 over rows in order: split, target, length and raw bytes of each image."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"retable-rows-1")

    def start(self, split: str) -> None:
        """Begin a split: rows that move from one split to another change the digest."""
        self._hash.update(b"\x1f" + split.encode() + b"\x1f")

    def add(self, target: np.generic | NDArray[Any], data: bytes | memoryview) -> None:
        """Add a row: its class as int64, or its numbers."""
        self._hash.update(target.astype(target.dtype.newbyteorder("<")).tobytes())
        self._hash.update(len(data).to_bytes(8, "little"))
        self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the digest of all rows so far."""
        return self._hash.hexdigest()


def array_digest(modality: str, splits: Mapping[str, Split]) -> str:
    """Return the SHA-256 over the modality and each array's name, type, shape and bytes."""
    digest = hashlib.sha256(b"retable-arrays-1\x1f" + modality.encode())
    for split, rows in splits.items():
        for name, array in ((f"{split}_inputs", rows.inputs), (f"{split}_targets", rows.targets)):
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"\x1e{name}\x1f{array.dtype.name}\x1f{array.shape}\x1f".encode())
            digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def cached_digest(name: str, resources: Resources, cache: Path | None = None) -> str | None:
    """Return the digest of a dataset if it is known without reading the data, else ``None``.

    It is known for sets whose digest the catalogue pins, and for every dataset that was
    prepared before on this cache, as long as its pin (or the user's own files) did not change.
    """
    try:
        known = known_entry(name, resources)
        if known is not None and known.digest is not None:
            return known.digest
        source = _remembered(name, resources, cache)
    except UserError:
        return None
    return str(source["digest"]) if source else None


def known_warnings(name: str, resources: Resources, cache: Path | None = None) -> tuple[str, ...]:
    """Return what a user should know of a dataset whose rows were read before on this cache.

    Such as test images that are in the training split too. Reads no data; never raises.
    """
    try:
        source = _remembered(name, resources, cache)
    except UserError:
        return ()
    return tuple(source["warnings"]) if source else ()


def remember(paths: CachePaths, digest: str, warnings: Sequence[str]) -> None:
    """Write what was found of a dataset's rows, in ``paths.rows``, which exists."""
    write_json(paths.source, {"digest": digest, "warnings": list(warnings)})


def _remembered(name: str, resources: Resources, cache: Path | None) -> dict[str, Any] | None:
    return read_json(CachePaths.of(name, source_identity(name, resources), cache).source)
