"""Features of frozen backbones, kept beside the prepared data: each table is computed once."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from bench.data.cache import CachePaths, cache_root, make_folder, write_json
from bench.data.integrity import CheckedSet, Damaged, described, intact_manifest
from bench.data.resident import on_device
from bench.errors import DataError
from bench.files import bytes_sha256, whole
from bench.spec.work import canonical_json

_log = logging.getLogger(__name__)
# Bytes of all tables of a cache: beyond it, those that were not used for longest make room.
LIMIT = 20 * 2**30
# Those used within a day are left: another process may read from them.
_IDLE_S = 86_400
_FILE = "features.npy"

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureTable:
    """Features of some rows of a split, in a read-only memory map.

    Attributes
    ----------
    rows
        Their numbers, ``(n,)``, ascending.
    values
        ``(n, d)``; of types that NumPy does not have, the bits.
    dtype
        The features' own type.
    sha256
        Of the file.
    """

    rows: Rows
    values: NDArray[Any]
    dtype: torch.dtype
    sha256: str

    def of(self, rows: Rows, device: torch.device) -> Tensor:
        """Return the features ``(b, d)`` of rows, in the order given.

        Raises
        ------
        ValueError
            If the table has not all of them.
        """
        places = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        if not np.array_equal(self.rows[places], rows):
            raise ValueError("rows are asked for whose features were not computed")
        return on_device(device, self.values[places]).view(self.dtype)


def feature_table(
    of: Mapping[str, Any],
    rows: Rows,
    compute: Callable[[], Iterable[Tensor]],
    cache: Path | None = None,
) -> FeatureTable:
    """Return a table of features, computed if it is not kept, or not whole, or of something else.

    Parameters
    ----------
    of
        All that the features depend on, the rows included, JSON-ready: its digest is the table's
        name, and the table says it too.
    rows
        Numbers of the rows, ascending.
    compute
        Gives the features in the rows' order, some ``(b, d)`` at a time; any beyond the rows are
        left out.
    cache
        Folder of the cache; ``$RETABLE_CACHE`` or ``~/.cache/retable`` where not given.

    Raises
    ------
    DataError
        If the table cannot be written.
    """
    root = _root(cache)
    paths = CachePaths(root / bytes_sha256(canonical_json(of).encode())[:32])
    table = _opened(paths, of, rows)
    if table is not None:
        return table
    make_folder(root)
    with FileLock(paths.lock):
        table = _opened(paths, of, rows, tell=True)
        if table is None:
            make_folder(paths.folder)
            _write(paths, of, len(rows), compute())
            table = _opened(paths, of, rows)
    if table is None:
        raise DataError("features were written but cannot be read", file=paths.folder)
    return table


def verify_features(cache: Path | None = None) -> Iterator[CheckedSet]:
    """Read every table of a cache whole, and say of each whether it is what was written."""
    for manifest in sorted(_root(cache).glob("*/manifest.json")):
        damaged = None
        try:
            intact_manifest(CachePaths(manifest.parent), whole=True)
        except Damaged as found:
            damaged = found.file
        yield CheckedSet("features of frozen backbones", manifest.parent, damaged)


def _root(cache: Path | None) -> Path:
    return cache_root(cache) / "features"


def _opened(
    paths: CachePaths, of: Mapping[str, Any], rows: Rows, *, tell: bool = False
) -> FeatureTable | None:
    try:
        manifest = intact_manifest(paths)
        if manifest is None or manifest["of"] != of:
            return None
        values = np.load(paths.folder / _FILE, mmap_mode="r", allow_pickle=False)
    except (Damaged, OSError) as found:
        if tell:
            _log.warning("%s: is damaged; the features are computed again", found)
        return None
    # When it was last used says what makes room first.
    with contextlib.suppress(OSError):
        os.utime(paths.manifest)
    return FeatureTable(
        rows,
        np.asarray(values),
        getattr(torch, manifest["dtype"]),
        manifest["files"][_FILE]["sha256"],
    )


def _write(paths: CachePaths, of: Mapping[str, Any], count: int, blocks: Iterable[Tensor]) -> None:
    file = paths.folder / _FILE
    values: np.memmap[Any, Any] | None = None
    done, dtype = 0, ""
    try:
        paths.manifest.unlink(missing_ok=True)
        with whole(file) as part:
            for block in blocks:
                bits = _bits(block[: count - done])
                if values is None:
                    dtype = str(block.dtype).removeprefix("torch.")
                    _make_room(paths, count * bits[0].nbytes)
                    shape = (count, bits.shape[1])
                    values = open_memmap(part, mode="w+", dtype=bits.dtype, shape=shape)
                values[done : done + len(bits)] = bits
                done += len(bits)
            if values is None or done != count:
                raise ValueError(f"the features of {count} rows were due, and {done} came")
            values.flush()
        content = {"of": dict(of), "dtype": dtype, "files": described([file])}
        write_json(paths.manifest, content)
    except OSError as error:
        raise DataError(
            f"features cannot be kept in the data cache: {error.strerror}", file=paths.folder
        ) from None


def _bits(block: Tensor) -> NDArray[Any]:
    block = block.contiguous()
    return (block.view(torch.int16) if block.dtype == torch.bfloat16 else block).numpy()


def _make_room(paths: CachePaths, needed: int) -> None:
    """Remove tables that were not used for longest until the new one fits the limit.

    Raises
    ------
    DataError
        If the disk is too small.
    """
    tables = []
    for manifest in paths.rows.glob("*/manifest.json"):
        with contextlib.suppress(OSError):
            size = (manifest.parent / _FILE).stat().st_size
            tables.append((manifest.stat().st_mtime, size, manifest.parent))
    total = needed + sum(size for _, size, _ in tables)
    for used, size, folder in sorted(tables):
        if total <= LIMIT or time.time() - used < _IDLE_S:
            break
        if _removed(CachePaths(folder)):
            total -= size
    free = shutil.disk_usage(paths.folder).free
    if needed > free:
        raise DataError(
            f"the features need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
            file=paths.folder,
            remedy="set RETABLE_CACHE to a folder on a larger disk, or frozen_features: every-step",
        )


def _removed(paths: CachePaths) -> bool:
    try:
        with FileLock(paths.lock, timeout=0):
            paths.manifest.unlink(missing_ok=True)
            shutil.rmtree(paths.folder, ignore_errors=True)
            return True
    except (Timeout, OSError):
        return False
