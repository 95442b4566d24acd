"""One door to every dataset: decoded once into a memory map, opened in milliseconds after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap

from bench.data.cache import (
    CachePaths,
    make_folder,
    publish,
    read_json,
    write_json,
)
from bench.data.decode import decoder_versions
from bench.data.digests import RowDigest
from bench.data.identity import known_entry, source_identity
from bench.data.prepared import Prepared, Split
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry
from bench.spec.cell import Resources
from bench.spec.recipe import Image

__all__ = ["Prepared", "Split", "prepare"]

SPLITS = ("train", "test")
# Sets whose images have this side already need no image library.
_NATIVE = {"procedural": 64}


def prepare(
    name: str, image: Image, resources: Resources | None = None, cache: Path | None = None
) -> Prepared:
    """Return a dataset, decoded and resized; the first call reads it, later ones open the cache.

    Parameters
    ----------
    name
        In the catalogue, or a folder of ``resources``.
    image
        ``resize`` and ``fit`` say how images are stored; the rest does not matter here.
    cache
        Folder of the cache; ``$RETABLE_CACHE`` or ``~/.cache/retable`` where not given.

    Raises
    ------
    SpecError
        If there is no dataset of that name.
    DataError
        If it cannot be had, or is not what the catalogue says.
    """
    resources = resources or Resources()
    entry = known_entry(name, resources)
    identity = source_identity(name, resources)
    paths = CachePaths(name, identity, cache, _decoding(entry, image))
    ready = _opened(name, paths)
    if ready is not None:
        return ready
    make_folder(paths.pixels)
    with FileLock(paths.lock):
        ready = _opened(name, paths)
        if ready is None:
            source = _source(name, entry, resources)
            _check(name, entry, source)
            _build(name, entry, source, image, paths)
            ready = _opened(name, paths)
    if ready is None:
        raise DataError("the data cache was written but cannot be read", file=paths.pixels)
    return ready


def _decoding(entry: DatasetEntry | None, image: Image) -> dict[str, Any]:
    """Return what the pixels depend on beside the rows."""
    how: dict[str, Any] = {"resize": image.resize, "fit": image.fit}
    native = entry is not None and _NATIVE.get(entry.kind) == image.resize
    return how if native else {**how, **decoder_versions()}


def _opened(name: str, paths: CachePaths) -> Prepared | None:
    """Open a finished cache; ``None`` where there is none or a file has another size."""
    manifest = read_json(paths.manifest)
    if manifest is None:
        return None
    try:
        for file, size in manifest["files"].items():
            if (paths.pixels / file).stat().st_size != size:
                return None
        splits = {
            split: Split(
                np.load(paths.images(split), mmap_mode="r", allow_pickle=False),
                np.load(paths.labels(split), allow_pickle=False),
            )
            for split in SPLITS
        }
        names = tuple(manifest["class_names"])
        digest, facts = manifest["digest"], manifest["facts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Prepared(name, len(names), names, splits["train"], splits["test"], digest, facts)


def _source(name: str, entry: DatasetEntry | None, resources: Resources) -> Source:
    if name in resources.folders:
        from bench.data.sources.folder import folder_source

        return folder_source(name, Path(resources.folders[name]))
    assert entry is not None
    if entry.kind == "hub":
        from bench.data.sources.hub import hub_source

        return hub_source(entry)
    if entry.kind == "digits":
        from bench.data.sources.digits import digits_source

        return digits_source()
    if entry.kind == "procedural":
        from bench.data.sources.procedural import procedural_source

        return procedural_source(name)
    remedy = None
    if entry.kind == "folder":
        remedy = f"get it from {entry.source} and name its folder under `datasets:` in the suite"
    raise DataError(f"{name} cannot be loaded: {entry.reason}", remedy=remedy)


def _check(name: str, entry: DatasetEntry | None, source: Source) -> None:
    """Compare what was loaded with what the catalogue says."""
    remedy = "the catalogue describes other data than was found; see its entry's notes"
    classes = len(source.class_names)
    if entry is not None and entry.classes not in (None, classes):
        raise DataError(f"{name} has {classes} classes, not {entry.classes}", remedy=remedy)
    for split in SPLITS:
        labels = getattr(source, split).labels
        rows = getattr(entry.rows, split) if entry is not None else None
        if rows not in (None, len(labels)):
            raise DataError(f"{name} has {len(labels)} {split} images, not {rows}", remedy=remedy)
        if not len(labels):
            raise DataError(f"{name} has no {split} images", remedy=remedy)
    counts = np.bincount(source.train.labels, minlength=classes)
    if not counts.all():
        empty = source.class_names[int(np.argmin(counts))]
        raise DataError(f"{name}: the class {empty} has no training image", remedy=remedy)


def _build(
    name: str, entry: DatasetEntry | None, source: Source, image: Image, paths: CachePaths
) -> None:
    """Decode all rows into the cache; the manifest comes last."""
    paths.manifest.unlink(missing_ok=True)
    _check_space(source, image, paths)
    digest = RowDigest()
    for split in SPLITS:
        digest.start(split)
        rows: SourceSplit = getattr(source, split)
        temporary = paths.pixels / f".{split}.npy"
        try:
            _decode_split(rows, source, image, temporary, digest)
        except OSError as error:
            raise DataError(
                f"the data cache cannot be written: {error.strerror}", file=paths.pixels
            ) from None
        publish(temporary, paths.images(split))
        temporary = paths.pixels / f".{split}-labels.npy"
        np.save(temporary, rows.labels)
        publish(temporary, paths.labels(split))
    _check_digest(name, entry, digest.hexdigest(), paths)
    facts = {
        **source.facts,
        **decoder_versions(),
        **{f"{split}_rows": len(getattr(source, split).labels) for split in SPLITS},
    }
    files = [path(split) for split in SPLITS for path in (paths.images, paths.labels)]
    content = {
        "digest": digest.hexdigest(),
        "class_names": list(source.class_names),
        "facts": facts,
        "files": {file.name: file.stat().st_size for file in files},
    }
    write_json(paths.source, {"digest": digest.hexdigest(), "facts": facts})
    write_json(paths.manifest, content)


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


def _check_space(source: Source, image: Image, paths: CachePaths) -> None:
    rows = len(source.train.labels) + len(source.test.labels)
    needed = rows * image.resize**2 * 3
    free = shutil.disk_usage(paths.pixels).free
    if needed > free:
        raise DataError(
            f"the decoded images need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
            file=paths.pixels,
            remedy="set RETABLE_CACHE to a folder on a larger disk, or lower image.resize",
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
