"""What a prepared dataset is: inputs, targets, digest, facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.spec.catalogue import Modality
from bench.spec.recipe import Image

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Split:
    """Rows of one split.

    Attributes
    ----------
    inputs
        Images ``(n, resize, resize, 3)`` uint8 RGB; vectors and trajectories ``(n, …)`` float32;
        tokens ``(n, t)`` int64. A read-only memory map.
    targets
        ``(n,)`` int64, the class 0 … classes - 1; or ``(n, …)`` float32 for regression.
    resident
        Device to a copy of the inputs there; see `bench.data.resident`.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    resident: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Prepared:
    """A dataset ready for batches.

    Attributes
    ----------
    classes
        Number of classes; None where the targets are numbers.
    class_names
        Empty where there are no classes.
    digest
        SHA-256 over all rows of all splits as they were loaded: of images the label and the raw
        bytes, so that it is the same for every size.
    facts
        Revision, rows, library versions: what a record keeps beside the digest.
    """

    name: str
    modality: Modality
    classes: int | None
    class_names: tuple[str, ...]
    train: Split
    test: Split
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def input_shape(self, image: Image) -> tuple[int, ...]:
        """Return the shape of one input as batches have it; only images depend on ``image``."""
        if self.modality == "images":
            return (3, image.size, image.size)
        return tuple(np.shape(self.train.inputs)[1:])

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target: ``()`` for a class."""
        return tuple(np.shape(self.train.targets)[1:])
