"""What a dataset's content depends on, told without reading it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.data.prepared import SPLITS
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry, Modality, entry, names
from bench.spec.cell import Resources

# Raise when the meaning of cached rows changes: other order, other split rule, other digest.
FORMAT = 2
_SOURCE_FIELDS = {
    "kind", "hub", "revision", "config", "splits", "image", "label", "keep", "drop_labels",
    "test_fraction", "digest",
}  # fmt: skip


def source_identity(name: str, resources: Resources) -> dict[str, Any]:
    """Return plain data that changes whenever a dataset's rows may have changed.

    A user's folder or file of that name goes before the catalogue. For these it is the (relative)
    paths, sizes, times and inodes of the files; for others, the entry's own fields, and of Waymo's
    and CheXpert's licensed files both.

    Raises
    ------
    SpecError
        If the name is neither in the catalogue nor one of the suite's own.
    DataError
        If the folder or file cannot be read.
    """
    if name in resources.folders:
        folder = Path(resources.folders[name])
        lists = resources.lists.get(name)
        found = _listing(folder) if lists is None else _listed(folder, lists)
        chosen = {} if lists is None else {"lists": lists}
        return {"format": FORMAT, "folder": str(folder), **chosen, "files": list(found)}
    if name in resources.arrays:
        file, modality = resources.arrays[name]
        state = _state(file, "correct its path under `datasets:` in the suite")
        return {"format": FORMAT, "arrays": file, "modality": modality, "state": state}
    known = entry(name)
    fields = known.model_dump(mode="json", include=_SOURCE_FIELDS)
    if known.draw is not None:
        # Only where there is one: sets that were prepared before there were any are the same.
        fields["draw"] = known.draw.model_dump()
    if known.tokenizer is not None:
        fields["text"] = list(known.text)
        fields["tokenizer"] = known.tokenizer.model_dump()
    if known.kind == "waymo":
        fields["files"] = list(_waymo())
    if known.kind == "chexpert":
        fields["files"] = list(_chexpert(known))
    return {"format": FORMAT, **fields}


def _waymo() -> Iterator[tuple[str, list[int]]]:
    """Yield split, name and state of each of Waymo's files."""
    from bench.data.sources.waymo import files

    for split, paths in files().items():
        for path in paths:
            yield f"{split}/{path.name}", _state(path, "check the file's permissions")


def _chexpert(known: DatasetEntry) -> Iterator[tuple[str, list[int]]]:
    """Yield path and state of CheXpert's list, and of every image that is taken of it."""
    from bench.data.sources.chexpert import LIST, folder, listed

    top = folder()
    yield LIST, _state(top / LIST, "put CheXpert's own list there")
    for split, rows in listed(top, known).items():
        for path in rows.paths:
            yield f"{split}/{path}", _state(top / path, f"put the image there, or correct {LIST}")


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


def _listing(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield path and state of every file ``SPLIT/CLASS/*`` of a folder, sorted."""
    _entries(folder)
    # Two levels and no deeper: links to folders cannot lead in a circle.
    for split in SPLITS:
        for group in _entries(folder / split) if (folder / split).is_dir() else []:
            place = folder / split / group
            for name in _entries(place) if place.is_dir() else [""]:
                remedy = "remove the broken link or the file"
                yield f"{split}/{group}/{name}", _state(place / name, remedy)


def _listed(folder: Path, lists: tuple[str, str]) -> Iterator[tuple[str, list[int]]]:
    """Yield path and state of both lists, and of every image of theirs."""
    from bench.data.sources.listed import read_list

    for name in lists:
        rows = read_list(folder / name)
        for path in (name, *(row.path for row in rows)):
            yield path, _state(folder / path, f"put the image there, or correct {name}")


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(
            f"the image folder cannot be read: {error.strerror}",
            file=folder,
            remedy="correct its path under `datasets:` in the suite",
        ) from None


def _state(file: Path | str, remedy: str) -> list[int]:
    """Return a file's size, modification and change time (ns) and inode.

    The change time cannot be set back: a file edited under its old size and modification time
    has another.
    """
    try:
        status = os.stat(file)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=file, remedy=remedy) from None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
