"""What every source of rows offers, before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.spec.catalogue import Modality
from bench.spec.recipe import Image


class Blob(NamedTuple):
    """The raw bytes of one image, and where they come from, for messages."""

    data: bytes
    where: str


@dataclass(frozen=True)
class SourceSplit:
    """Rows of one split, in a fixed order.

    Attributes
    ----------
    targets
        ``(n,)`` int64, 0 … classes - 1; or ``(n, …)`` float32, where they are numbers.
    blobs
        Starts a pass over the n images, in the order of the targets.
    """

    targets: NDArray[np.int64] | NDArray[np.float32]
    blobs: Callable[[], Iterator[Blob]]


@dataclass(frozen=True)
class Source:
    """A set of images as loaded.

    Attributes
    ----------
    class_names
        Empty where the targets are numbers.
    decode
        Raw bytes to ``(resize, resize, 3)`` uint8 RGB.
    facts
        What is worth recording: revision, configuration, versions.
    """

    class_names: tuple[str, ...]
    train: SourceSplit
    test: SourceSplit
    decode: Callable[[bytes, Image], NDArray[np.uint8]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int | None:
        """Number of classes; None where the targets are numbers."""
        return len(self.class_names) or None

    @property
    def targets(self) -> dict[str, NDArray[Any]]:
        """The targets of both splits by name."""
        return {"train": self.train.targets, "test": self.test.targets}


@dataclass(frozen=True)
class ArraySource:
    """A set that needs no decoding: inputs and targets as they will be memory-mapped.

    Attributes
    ----------
    classes
        None where the targets are numbers.
    """

    modality: Modality
    classes: int | None
    train: Split
    test: Split
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' numbers as text; empty without classes."""
        return tuple(map(str, range(self.classes or 0)))

    @property
    def splits(self) -> dict[str, Split]:
        """Both splits by name."""
        return {"train": self.train, "test": self.test}

    @property
    def targets(self) -> dict[str, NDArray[Any]]:
        """The targets of both splits by name."""
        return {split: part.targets for split, part in self.splits.items()}
