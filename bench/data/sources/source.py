"""What every source of rows offers, before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    labels
        ``(n,)`` int64, 0 … classes - 1.
    blobs
        Starts a pass over the n images, in the order of the labels.
    """

    labels: NDArray[np.int64]
    blobs: Callable[[], Iterator[Blob]]


@dataclass(frozen=True)
class Source:
    """A dataset's rows as loaded.

    Attributes
    ----------
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
