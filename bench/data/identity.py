"""What a dataset's content depends on, told without reading its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry, entry, names
from bench.spec.cell import Resources

# Raise when the meaning of cached rows changes: other order, other split rule, other digest.
FORMAT = 1
_SOURCE_FIELDS = {
    "kind", "hub", "revision", "config", "splits", "image", "label", "keep", "drop_labels",
    "test_fraction", "digest",
}  # fmt: skip


def source_identity(name: str, resources: Resources) -> dict[str, Any]:
    """Return plain data that changes whenever a dataset's rows may have changed.

    A user's folder of that name goes before the catalogue. For a folder these are the relative
    paths, sizes and modification times of its files; for others, the entry's own fields.

    Raises
    ------
    SpecError
        If the name is neither in the catalogue nor a folder of the suite.
    DataError
        If the folder cannot be read.
    """
    if name in resources.folders:
        folder = Path(resources.folders[name])
        return {"format": FORMAT, "folder": str(folder), "files": list(_listing(folder))}
    fields = entry(name).model_dump(mode="json", include=_SOURCE_FIELDS)
    return {"format": FORMAT, **fields}


def known_entry(name: str, resources: Resources) -> DatasetEntry | None:
    """Return the catalogue's entry that the data must agree with.

    ``None`` for a folder under a name of the user's own, or under that of a set made here.
    """
    if name in resources.folders:
        known = entry(name) if name in names() else None
        return known if known is not None and known.kind in ("hub", "folder") else None
    return entry(name)


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
            try:
                status = item.stat()
            except OSError as error:
                raise DataError(
                    f"cannot be read: {error.strerror}",
                    file=item.path,
                    remedy="remove the broken link or the file",
                ) from None
            yield item.name, status.st_size, status.st_mtime_ns
