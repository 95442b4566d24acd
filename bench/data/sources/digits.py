"""Handwritten digits from scikit-learn: real images that need no download."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.data.decode import decode_pixels
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.spec.recipe import Image

SIDE = 8
LEVELS = 16


def _rows(
    images: NDArray[np.uint8], labels: NDArray[np.int64], rows: NDArray[np.int64]
) -> SourceSplit:
    def blobs() -> Iterator[Blob]:
        for row in rows.tolist():
            yield Blob(images[row].tobytes(), f"digits, row {row}")

    return SourceSplit(labels[rows], blobs)


def _decode(data: bytes, image: Image) -> NDArray[np.uint8]:
    grey = np.frombuffer(data, dtype=np.uint8).reshape(SIDE, SIDE).astype(np.int64)
    bright = ((grey * 255 + LEVELS // 2) // LEVELS).astype(np.uint8)
    return decode_pixels(np.repeat(bright[..., None], 3, axis=2), image)


def digits_source() -> Source:
    """Return the 1,797 digits, in file order.

    There is no official split of this file: of each class with n images, the last floor(0.3 n)
    in file order are the test split (neighbouring rows are often one writer's).
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = data.images.astype(np.uint8)
    labels = data.target.astype(np.int64)
    held = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        held[rows[len(rows) - len(rows) * 3 // 10 :]] = True
    return Source(
        class_names=tuple(map(str, range(10))),
        train=_rows(images, labels, np.flatnonzero(~held)),
        test=_rows(images, labels, np.flatnonzero(held)),
        decode=_decode,
    )
