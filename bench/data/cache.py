"""The cache of prepared data: where its files lie, and how they are written whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import write_whole

# What a JSON file of the cache says of itself: the digest of all else in it.
_SEAL = "sha256"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def cache_root(cache: Path | None = None) -> Path:
    """Return the cache's folder: the one given, ``$RETABLE_CACHE``, or ``~/.cache/retable``."""
    if cache is not None:
        return Path(cache)
    named = os.environ.get("RETABLE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "retable"


def data_root(cache: Path | None = None) -> Path:
    """Return the folder of all prepared datasets: ``NAME/ROWS/WAY OF DECODING/``."""
    return cache_root(cache) / "data"


class CachePaths:
    """Every file name of one dataset's cache.

    ``source`` describes the rows as loaded; beside it is one ``folder`` for each way of decoding
    them, whose ``manifest.json`` is written last: without it the folder does not count.
    ``checked`` remembers when large files were last compared with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = folder.parent
        self.source = self.rows / "source.json"
        self.manifest = folder / "manifest.json"
        self.checked = folder / "checked.json"
        self.lock = folder.with_suffix(".lock")

    @classmethod
    def of(
        cls,
        name: str,
        identity: Mapping[str, Any],
        cache: Path | None = None,
        making: Mapping[str, Any] | None = None,
    ) -> CachePaths:
        """Return the paths of a dataset.

        Parameters
        ----------
        name
            One that is no plain word is not used as a folder's.
        identity
            What the rows depend on.
        making
            What the files depend on beside the rows: the code, and of images size, fit, decoder.
        """
        folder = name if _PLAIN_NAME.fullmatch(name) else "other"
        rows = data_root(cache) / folder / _digest({"name": name, **identity})[:16]
        return cls(rows / _digest(making or {})[:16])

    def inputs(self, split: str) -> Path:
        """Return the file of a split's inputs."""
        return self.folder / f"{split}.npy"

    def targets(self, split: str) -> Path:
        """Return the file of a split's targets."""
        return self.folder / f"{split}-labels.npy"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what `write_json` wrote, or ``None`` if it is absent or not what was written."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.pop(_SEAL, None) != _digest(data):
        return None
    return data


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, with a digest of its content in it."""
    sealed = {**content, _SEAL: _digest(content)}
    write_whole(path, json.dumps(sealed, indent=1, sort_keys=True))


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
