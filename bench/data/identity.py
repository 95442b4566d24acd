"""What a dataset's content depends on, told without reading it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry, Modality, entry, names
from bench.spec.cell import Resources

# Raise when the meaning of cached rows changes: other order, other split rule, other digest.
FORMAT = 1
_SOURCE_FIELDS = {
    "kind", "hub", "revision", "config", "splits", "image", "label", "keep", "drop_labels",
    "test_fraction", "digest",
}  # fmt: skip


def source_identity(name: str, resources: Resources) -> dict[str, Any]:
    """Return plain data that changes whenever a dataset's rows may have changed.

    A user's folder or file of that name goes before the catalogue. For these it is the (relative)
    paths, sizes and modification times of the files; for others, the entry's own fields.

    Raises
    ------
    SpecError
        If the name is neither in the catalogue nor one of the suite's own.
    DataError
        If the folder or file cannot be read.
    """
    if name in resources.folders:
        folder = Path(resources.folders[name])
        return {"format": FORMAT, "folder": str(folder), "files": list(_listing(folder))}
    if name in resources.arrays:
        file, modality = resources.arrays[name]
        size, modified = _state(file, "correct its path under `datasets:` in the suite")
        return {
            "format": FORMAT, "arrays": file, "modality": modality,
            "size": size, "modified": modified,
        }  # fmt: skip
    fields = entry(name).model_dump(mode="json", include=_SOURCE_FIELDS)
    return {"format": FORMAT, **fields}


def known_entry(name: str, resources: Resources) -> DatasetEntry | None:
    """Return the catalogue's entry that the data must agree with.

    ``None`` for arrays of the user's, and for a folder under a name of the user's own, or under
    that of a set made here.
    """
    if name in resources.arrays:
        return None
    if name in resources.folders:
        known = entry(name) if name in names() else None
        return known if known is not None and known.kind in ("hub", "folder") else None
    return entry(name)


def modality(name: str, resources: Resources) -> Modality:
    """Return what a dataset's rows are, without reading it.

    Raises
    ------
    SpecError
        If there is no dataset of that name.
    """
    if name in resources.folders:
        return "images"
    if name in resources.arrays:
        return resources.arrays[name][1]  # type: ignore[return-value]
    return entry(name).modality


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and modification time (ns) of every file below a folder, sorted."""
    try:
        with os.scandir(folder) as found:
            items = sorted(found, key=lambda item: item.name)
    except OSError as error:
        raise DataError(
            f"the image folder cannot be read: {error.strerror}",
            file=folder,
            remedy="correct its path under `datasets:` in the suite",
        ) from None
    for item in items:
        if item.is_dir():
            for path, size, modified in _listing(Path(item.path)):
                yield f"{item.name}/{path}", size, modified
        else:
            yield item.name, *_state(item.path, "remove the broken link or the file")


def _state(file: str, remedy: str) -> tuple[int, int]:
    """Return a file's size and its modification time (ns)."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=file, remedy=remedy) from None
    return status.st_size, status.st_mtime_ns
