"""The cache of prepared data: where its files lie, and how they are written whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import write_whole


def cache_root(cache: Path | None = None) -> Path:
    """Return the cache's folder: the one given, ``$RETABLE_CACHE``, or ``~/.cache/retable``."""
    if cache is not None:
        return Path(cache)
    named = os.environ.get("RETABLE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "retable"


class CachePaths:
    """Every file name of one dataset's cache.

    ``source`` describes the rows as loaded; below it is one ``folder`` for each way of decoding
    them, whose ``manifest.json`` is written last: without it the folder does not count.

    Parameters
    ----------
    identity
        What the rows depend on.
    decoding
        What pixels depend on beside the rows: size, fit, decoder. Nothing for arrays.
    """

    def __init__(
        self,
        name: str,
        identity: Mapping[str, Any],
        cache: Path | None = None,
        decoding: Mapping[str, Any] | None = None,
    ) -> None:
        self.rows = cache_root(cache) / "data" / name / _key(identity)
        self.source = self.rows / "source.json"
        self.folder = self.rows / _key(decoding or {})
        self.manifest = self.folder / "manifest.json"
        self.lock = self.folder.with_suffix(".lock")

    def inputs(self, split: str) -> Path:
        """Return the file of a split's inputs."""
        return self.folder / f"{split}.npy"

    def targets(self, split: str) -> Path:
        """Return the file of a split's targets."""
        return self.folder / f"{split}-labels.npy"


def _key(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON file's mapping, or ``None`` if it is absent or not whole."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    write_whole(path, json.dumps(content, indent=1, sort_keys=True))


def make_folder(path: Path) -> None:
    """Create a cache folder.

    Raises
    ------
    DataError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the data cache cannot be written: {error.strerror}",
            file=path,
            remedy="set RETABLE_CACHE to a folder that can be written",
        ) from None
