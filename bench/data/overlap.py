"""Images that are in the training split and in the test split, told by their bytes."""

from __future__ import annotations

import hashlib

from bench.data.sources.source import Blob

_NAMED = 20


class Overlap:
    """Collects the rows of both splits, the training split's first."""

    def __init__(self) -> None:
        self._train: dict[bytes, str] = {}
        self._pairs: list[tuple[str, str]] = []

    def add(self, split: str, blob: Blob) -> None:
        """Add a row."""
        digest = hashlib.sha256(blob.data).digest()
        if split == "train":
            self._train.setdefault(digest, blob.where)
        elif digest in self._train:
            self._pairs.append((blob.where, self._train[digest]))

    def __len__(self) -> int:
        """Return how many test images are training images too."""
        return len(self._pairs)

    def warnings(self, name: str) -> list[str]:
        """Return what is to be said of a dataset: nothing, or one text that names the files."""
        if not self._pairs:
            return []
        named = [f"{test} is {train}" for test, train in self._pairs[:_NAMED]]
        more = len(self._pairs) - len(named)
        lines = [*named, *([f"and {more} more"] if more else [])]
        count = f"{len(self)} test image{'s' if len(self) > 1 else ''}"
        are = "are" if len(self) > 1 else "is"
        head = f"{count} of {name} {are} in its training split too:"
        return ["\n  ".join([head, *lines])]
