"""Images of one folder, split by lists: lines of a path and a class number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from bench.data.decode import decode_file
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.errors import DataError

FORM = "each line is a path within the folder, a space and a class number: images/00001.jpg 7"


class Row(NamedTuple):
    """An image by its path within the folder, and its class."""

    path: str
    label: int


def read_list(file: Path) -> tuple[Row, ...]:
    """Return the rows of a list, in its order; empty lines are passed over.

    Raises
    ------
    DataError
        If it cannot be read, is empty, or a line is no path within the folder and class number.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DataError(
            f"the list cannot be read: {what}",
            file=file,
            remedy="correct `train` or `test` of the folder under `datasets:` in the suite",
        ) from None
    rows = tuple(_row(line, n, file) for n, line in enumerate(lines, 1) if line.strip())
    if not rows:
        raise DataError("a list without images", file=file, remedy=FORM)
    return rows


def _row(line: str, number: int, file: Path) -> Row:
    path, _, label = line.strip().rpartition(" ")
    inside = PurePosixPath(path)
    if not path or inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"line {number} names no path within the folder", file=file, remedy=FORM)
    # Digits of other scripts are digits too.
    if not (label.isascii() and label.isdigit()):
        raise DataError(f"line {number} ends in no class number", file=file, remedy=FORM)
    return Row(path, int(label))


def _split(folder: Path, rows: tuple[Row, ...]) -> SourceSplit:
    def blobs() -> Iterator[Blob]:
        for path, _ in rows:
            file = folder / path
            try:
                yield Blob(file.read_bytes(), str(file))
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", file=file) from None

    return SourceSplit(np.array([label for _, label in rows], dtype=np.int64), blobs)


def listed_source(folder: Path, train: str, test: str) -> Source:
    """Return the images of two lists in a folder, in the lists' order.

    Classes are the numbers from 0 to the highest of both lists, and need no training image: the
    1,000 of VTAB-1k's SUN397 are too few for its 397 classes.

    Raises
    ------
    DataError
        If a list cannot be read or is not of this form, or an image is in both.
    """
    lists = {split: read_list(folder / name) for split, name in (("train", train), ("test", test))}
    both = {row.path for row in lists["train"]} & {row.path for row in lists["test"]}
    if both:
        raise DataError(
            f"{len(both)} images are in {train} and in {test} too, such as {min(both)}",
            file=folder,
            remedy="name two lists that have no image in common",
        )
    classes = 1 + max(row.label for rows in lists.values() for row in rows)
    return Source(
        class_names=tuple(map(str, range(classes))),
        train=_split(folder, lists["train"]),
        test=_split(folder, lists["test"]),
        decode=decode_file,
        facts={"train_list": train, "test_list": test},
    )
