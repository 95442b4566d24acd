"""Writing a dataset into the cache: images decoded, arrays as they are; the manifest comes last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.data.cache import CachePaths, read_json, write_json
from bench.data.decode import decoder_versions
from bench.data.digests import RowDigest, array_digest
from bench.data.prepared import SPLITS
from bench.data.sources.source import ArraySource, Blob, Source, SourceSplit
from bench.errors import DataError
from bench.files import whole
from bench.spec.catalogue import DatasetEntry
from bench.spec.recipe import Image


def build(
    name: str,
    entry: DatasetEntry | None,
    source: Source | ArraySource,
    image: Image | None,
    paths: CachePaths,
) -> None:
    """Write all rows into the cache, in ``paths.folder``, which exists.

    Raises
    ------
    DataError
        If a row cannot be decoded, the disk is too small or cannot be written, or the data are
        not those that the catalogue pins or that were prepared before.
    """
    paths.manifest.unlink(missing_ok=True)
    try:
        if isinstance(source, ArraySource):
            modality, digest = source.modality, _write_arrays(source, paths)
        else:
            assert image is not None
            modality, digest = "images", _write_images(source, image, paths)
    except OSError as error:
        raise DataError(
            f"the data cache cannot be written: {error.strerror}", file=paths.folder
        ) from None
    _check_digest(name, entry, digest, paths)
    rows = {f"{split}_rows": len(targets) for split, targets in source.targets.items()}
    versions = decoder_versions() if isinstance(source, Source) else {}
    facts = {**source.facts, **versions, **rows}
    files = [path(split) for split in SPLITS for path in (paths.inputs, paths.targets)]
    content = {
        "modality": modality,
        "classes": source.classes,
        "digest": digest,
        "class_names": list(source.class_names),
        "facts": facts,
        "files": {file.name: file.stat().st_size for file in files},
    }
    write_json(paths.source, {"digest": digest, "facts": facts})
    write_json(paths.manifest, content)


def _write_arrays(source: ArraySource, paths: CachePaths) -> str:
    parts = source.splits.values()
    _check_space(sum(part.inputs.nbytes + part.targets.nbytes for part in parts), "arrays", paths)
    for split, part in source.splits.items():
        _save(paths.inputs(split), part.inputs)
        _save(paths.targets(split), part.targets)
    return array_digest(source.modality, source.splits)


def _save(file: Path, array: NDArray[Any]) -> None:
    with whole(file) as part, open(part, "wb") as opened:
        np.save(opened, array, allow_pickle=False)


def _write_images(source: Source, image: Image, paths: CachePaths) -> str:
    count = len(source.train.labels) + len(source.test.labels)
    _check_space(count * image.resize**2 * 3, "decoded images", paths)
    digest = RowDigest()
    for split in SPLITS:
        digest.start(split)
        rows: SourceSplit = getattr(source, split)
        with whole(paths.inputs(split)) as part:
            _decode_split(rows, source, image, part, digest)
        _save(paths.targets(split), rows.labels)
    return digest.hexdigest()


def _check_digest(name: str, entry: DatasetEntry | None, found: str, paths: CachePaths) -> None:
    pinned = None if entry is None else entry.digest
    if pinned is not None and found != pinned:
        raise DataError(
            f"{name} came out as {found[:12]}…, not as the pinned {pinned[:12]}…",
            remedy="results would not compare; report this with your NumPy version and processor",
        )
    known = read_json(paths.source)
    if known is not None and known.get("digest") != found:
        raise DataError(
            f"{name} is not the data that was prepared before under the same revision",
            file=paths.rows,
            remedy="delete that folder to start from the present data",
        )


def _check_space(needed: int, what: str, paths: CachePaths) -> None:
    free = shutil.disk_usage(paths.folder).free
    if needed > free:
        smaller = ", or lower image.resize" if what == "decoded images" else ""
        raise DataError(
            f"the {what} need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
            file=paths.folder,
            remedy=f"set RETABLE_CACHE to a folder on a larger disk{smaller}",
        )


def _threads() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(16, usable or 1))


def _decode_split(
    rows: SourceSplit, source: Source, image: Image, file: Path, digest: RowDigest
) -> None:
    """Write one split's pixels; Pillow releases the interpreter's lock, so threads help."""
    shape = (len(rows.labels), image.resize, image.resize, 3)
    pixels = open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)

    def store(row: int, blob: Blob) -> None:
        try:
            pixels[row] = source.decode(blob.data, image)
        except ValueError as error:
            raise DataError(
                f"{blob.where} is not a whole image: {error}",
                remedy="replace or remove it",
            ) from None

    done = 0
    blobs = rows.blobs()
    with ThreadPoolExecutor(_threads()) as pool:
        while block := _block(blobs, 512):
            for blob, label in zip(block, rows.labels[done:].tolist(), strict=False):
                digest.add(label, blob.data)
            list(pool.map(store, range(done, done + len(block)), block))
            done += len(block)
    if done != shape[0]:
        raise DataError(f"{shape[0]} rows were announced, {done} were read")
    pixels.flush()


def _block(blobs: Iterator[Blob], size: int) -> list[Blob]:
    return list(islice(blobs, size))
