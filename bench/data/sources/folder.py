"""A user's own image folder: ``train/CLASS/*`` and ``test/CLASS/*``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.data.decode import decode_file
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.errors import DataError

LAYOUT = "arrange it as train/CLASS/* and test/CLASS/*"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
)
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def _visible(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _LITTER
    )


def _images(folder: Path) -> list[Path]:
    """Return the images of one class."""
    found = _visible(folder)
    strange = [path for path in found if not path.is_file() or path.suffix.lower() not in SUFFIXES]
    if strange:
        what = "a folder, not an image file" if strange[0].is_dir() else "not an image file"
        raise DataError(
            f"is {what} ({len(strange)} such in {folder.name})",
            file=strange[0],
            remedy=f"keep only {', '.join(sorted(SUFFIXES))} in the class folders",
        )
    if not found:
        raise DataError("a class without images", file=folder, remedy="add images or remove it")
    return found


def _classes(folder: Path) -> list[str]:
    found = _visible(folder)
    loose = [path for path in found if not path.is_dir()]
    if loose:
        raise DataError("is a file outside any class folder", file=loose[0], remedy=LAYOUT)
    if not found:
        raise DataError("holds no class folder", file=folder, remedy=LAYOUT)
    return [path.name for path in found]


def _split(folder: Path, names: list[str]) -> SourceSplit:
    files = [(label, file) for label, name in enumerate(names) for file in _images(folder / name)]

    def blobs() -> Iterator[Blob]:
        for _, file in files:
            try:
                yield Blob(file.read_bytes(), str(file))
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", file=file) from None

    return SourceSplit(np.array([label for label, _ in files], dtype=np.int64), blobs)


def folder_source(name: str, folder: Path) -> Source:
    """Return the rows of an image folder, sorted by class and file name.

    Hidden files, ``Thumbs.db``, ``desktop.ini`` and ``__MACOSX`` are passed over.

    Raises
    ------
    DataError
        If the folder has not this layout, holds anything but images, has an empty class, or the
        classes of its splits differ.
    """
    if not folder.is_dir():
        raise DataError(
            f"the image folder of {name} does not exist",
            file=folder,
            remedy="correct its path under `datasets:` in the suite",
        )
    absent = [split for split in ("train", "test") if not (folder / split).is_dir()]
    if absent:
        raise DataError(
            f"the image folder of {name} has no folder {' and no folder '.join(absent)}",
            file=folder,
            remedy=f"{LAYOUT}: no split is made for you, so that yours is one that others can have",
        )
    names = _classes(folder / "train")
    others = set(names) ^ set(_classes(folder / "test"))
    if others:
        raise DataError(
            f"train and test have different classes: {', '.join(sorted(others)[:5])}",
            file=folder,
            remedy="give every class a folder with images in both",
        )
    return Source(
        class_names=tuple(names),
        train=_split(folder / "train", names),
        test=_split(folder / "test", names),
        decode=decode_file,
    )
