"""What a prepared dataset is: images decoded once, labels, digest, facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images of one split.

    Attributes
    ----------
    images
        ``(n, resize, resize, 3)`` uint8 RGB, a read-only memory map.
    labels
        ``(n,)`` int64, 0 … classes - 1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prepared:
    """A dataset ready for batches.

    Attributes
    ----------
    digest
        SHA-256 over the label and the raw bytes of every row of all splits as they were loaded:
        the same for every size.
    facts
        Revision, rows, library versions: what a record keeps beside the digest.
    """

    name: str
    classes: int
    class_names: tuple[str, ...]
    train: Split
    test: Split
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
