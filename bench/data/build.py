"""Writing a dataset into the cache: images decoded, arrays as they are; the manifest comes last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.data.cache import CachePaths, read_json, write_json
from bench.data.decode import decoder_versions
from bench.data.digests import RowDigest, array_digest, remember
from bench.data.integrity import described
from bench.data.overlap import Overlap
from bench.data.prepared import SPLITS
from bench.data.sources.source import ArraySource, Blob, Source, SourceSplit
from bench.errors import DataError
from bench.files import whole
from bench.spec.catalogue import DatasetEntry
from bench.spec.recipe import Image

_NAMED = 20


def build(
    name: str,
    entry: DatasetEntry | None,
    source: Source | ArraySource,
    image: Image | None,
    paths: CachePaths,
    unchanged: Callable[[], bool],
) -> list[str]:
    """Write all rows into the cache, in ``paths.folder``, which exists.

    Parameters
    ----------
    unchanged
        Tells, once all rows were read, whether they are still those that the cache is named by.

    Returns
    -------
    warnings
        What a user should know of the data.

    Raises
    ------
    DataError
        If rows cannot be decoded, the disk is too small or cannot be written, or the data changed
        meanwhile, or are not those that the catalogue pins or that were prepared before.
    """
    overlap = Overlap()
    try:
        paths.manifest.unlink(missing_ok=True)
        if isinstance(source, ArraySource):
            modality, digest = source.modality, _write_arrays(source, paths)
        else:
            assert image is not None
            modality, digest = "images", _write_images(name, source, image, paths, overlap)
    except OSError as error:
        raise DataError(
            f"the data cache cannot be written: {error.strerror}", file=paths.folder
        ) from None
    if not unchanged():
        raise DataError(f"{name} changed while it was read", remedy="run it again")
    _check_digest(name, entry, digest, paths)
    rows = {f"{split}_rows": len(targets) for split, targets in source.targets.items()}
    versions = decoder_versions() if isinstance(source, Source) else {}
    both = {"test_images_in_train": len(overlap)} if len(overlap) else {}
    facts = {**source.facts, **versions, **rows, **both}
    warnings = overlap.warnings(name)
    files = [path(split) for split in SPLITS for path in (paths.inputs, paths.targets)]
    content = {
        "modality": modality,
        "classes": source.classes,
        "digest": digest,
        "class_names": list(source.class_names),
        "facts": facts,
        "warnings": warnings,
        "files": described(files),
    }
    remember(paths, digest, warnings)
    write_json(paths.manifest, content)
    return warnings


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


def _write_images(
    name: str, source: Source, image: Image, paths: CachePaths, overlap: Overlap
) -> str:
    count = len(source.train.targets) + len(source.test.targets)
    _check_space(count * image.resize**2 * 3, "decoded images", paths)
    digest = RowDigest()
    faults: list[str] = []
    for split in SPLITS:
        digest.start(split)
        rows: SourceSplit = getattr(source, split)
        with whole(paths.inputs(split)) as part:
            shape = (len(rows.targets), image.resize, image.resize, 3)
            pixels = open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            seen = _seen(split, rows, digest, overlap)
            faults += _decode(seen, lambda data: source.decode(data, image), pixels)
        _save(paths.targets(split), rows.targets)
    if faults:
        raise _not_whole(name, faults)
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


def _seen(split: str, rows: SourceSplit, digest: RowDigest, overlap: Overlap) -> Iterator[Blob]:
    """Yield the images of a split, which then are in the digest."""
    for target, blob in zip(rows.targets, rows.blobs(), strict=False):
        digest.add(target, blob.data)
        overlap.add(split, blob)
        yield blob


def _decode(
    blobs: Iterator[Blob],
    decode: Callable[[bytes], NDArray[np.uint8]],
    pixels: NDArray[np.uint8],
) -> list[str]:
    """Write a split's pixels; return what is wrong with each image that cannot be decoded."""

    def store(row: int, blob: Blob) -> str | None:
        try:
            pixels[row] = decode(blob.data)
        except ValueError as error:
            return f"{blob.where} cannot be decoded: {error}"
        return None

    done, faults = 0, []
    # Pillow releases the interpreter's lock, so threads help.
    with ThreadPoolExecutor(_threads()) as pool:
        while block := list(islice(blobs, 512)):
            found = pool.map(store, range(done, done + len(block)), block)
            faults += [fault for fault in found if fault is not None]
            done += len(block)
    if done != len(pixels):
        raise DataError(f"{len(pixels)} rows were announced, {done} were read")
    pixels.flush()  # type: ignore[attr-defined]
    return faults


def _not_whole(name: str, faults: list[str]) -> DataError:
    if len(faults) == 1:
        return DataError(faults[0], remedy="replace or remove it")
    more = len(faults) - _NAMED
    head = f"{len(faults)} images of {name} cannot be decoded:"
    lines = [head, *faults[:_NAMED], *([f"and {more} more"] if more > 0 else [])]
    return DataError("\n  ".join(lines), remedy="replace or remove them")
