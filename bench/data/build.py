"""Writing a dataset into the cache: images decoded, arrays as they are; the manifest comes last."""

from __future__ import annotations

import hashlib
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
from bench.files import file_sha256, whole
from bench.spec.catalogue import DatasetEntry
from bench.spec.recipe import Image

_NAMED = 20
# File to the SHA-256 of what was written to it.
Written = dict[Path, str]


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
    written: Written = {}
    try:
        if isinstance(source, ArraySource):
            modality, digest = source.modality, _write_arrays(source, paths, written)
        else:
            assert image is not None
            modality = "images"
            digest = _write_images(name, source, image, paths, overlap, written)
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
        "files": _as_written(files, written),
    }
    remember(paths, digest, warnings)
    write_json(paths.manifest, content)
    return warnings


def _as_written(files: list[Path], written: Written) -> dict[str, dict[str, Any]]:
    """Return what a manifest says of files that hold what was written to them.

    A lock may hold on one computer alone. Another process that prepares the same data then puts
    the same bytes here; if they are others, neither is to be believed.
    """
    found = described(files)
    for file in files:
        if found[file.name]["sha256"] != written[file]:
            raise DataError(
                "is not what was written to it a moment ago",
                file=file,
                remedy="run it again; look whether another process or a failing disk writes there",
            )
    return found


def _write_arrays(source: ArraySource, paths: CachePaths, written: Written) -> str:
    parts = source.splits.values()
    _check_space(sum(part.inputs.nbytes + part.targets.nbytes for part in parts), "arrays", paths)
    for split, part in source.splits.items():
        _save(paths.inputs(split), part.inputs, written)
        _save(paths.targets(split), part.targets, written)
    return array_digest(source.modality, source.splits)


def _save(file: Path, array: NDArray[Any], written: Written) -> None:
    with whole(file) as part:
        with open(part, "wb") as opened:
            np.save(opened, array, allow_pickle=False)
        written[file] = file_sha256(part)


def _write_images(
    name: str,
    source: Source,
    image: Image,
    paths: CachePaths,
    overlap: Overlap,
    written: Written,
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
            # Of what was decoded, and not of what the file then holds.
            content = hashlib.sha256(_header(part, pixels))
            faults += _decode(seen, lambda data: source.decode(data, image), pixels, content)
            written[paths.inputs(split)] = content.hexdigest()
        _save(paths.targets(split), rows.targets, written)
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


def _header(file: Path, pixels: np.memmap[Any, Any]) -> bytes:
    with open(file, "rb") as opened:
        return opened.read(pixels.offset)


def _decode(
    blobs: Iterator[Blob],
    decode: Callable[[bytes], NDArray[np.uint8]],
    pixels: np.memmap[Any, Any],
    content: Any,
) -> list[str]:
    """Write a split's pixels; return what is wrong with each image that cannot be decoded.

    ``content`` is a hash that is given them too, in their order.
    """

    def decoded(blob: Blob) -> NDArray[np.uint8] | str:
        try:
            return decode(blob.data)
        except ValueError as error:
            return f"{blob.where} cannot be decoded: {error}"

    done = 0
    faults: list[str] = []
    # Pillow releases the interpreter's lock, so threads help.
    with ThreadPoolExecutor(_threads()) as pool:
        while block := list(islice(blobs, 512)):
            for row, found in enumerate(pool.map(decoded, block), start=done):
                if isinstance(found, str):
                    faults.append(found)
                    continue
                if row < len(pixels):
                    pixels[row] = found
                    content.update(np.broadcast_to(found, pixels.shape[1:]).tobytes())
            done += len(block)
    if done != len(pixels):
        raise DataError(f"{len(pixels)} rows were announced, {done} were read")
    pixels.flush()
    return faults


def _not_whole(name: str, faults: list[str]) -> DataError:
    if len(faults) == 1:
        return DataError(faults[0], remedy="replace or remove it")
    more = len(faults) - _NAMED
    head = f"{len(faults)} images of {name} cannot be decoded:"
    lines = [head, *faults[:_NAMED], *([f"and {more} more"] if more > 0 else [])]
    return DataError("\n  ".join(lines), remedy="replace or remove them")
