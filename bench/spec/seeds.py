"""Separate random streams from one seed, so that at one seed all methods see the same data."""

from __future__ import annotations

import hashlib
from typing import Literal

Stream = Literal[
    "subset", "validation", "transform", "head", "backbone", "order", "augmentation", "dropout",
    "measurement", "procedural", "class", "statistics", "patch", "objective",
]  # fmt: skip


def origin(trainings: int) -> tuple[str, ...]:
    """Return the context of the streams in which a training differs from what it starts from.

    Parameters
    ----------
    trainings
        How many are behind the weights that it starts from: none behind random ones. Counting
        them, and not naming what was trained, leaves cells of one seed paired whatever they
        start from.
    """
    return (f"after {trainings}",) if trainings else ()


def stream_seed(seed: int, stream: Stream, *context: object) -> int:
    """Return a 63-bit seed for one stream of a cell.

    It depends on the cell's seed, the stream's name and the given context (a dataset's or a
    backbone's name), never on the method. What is drawn while training (head, patch, order,
    augmentation, random transforms, dropout, the order in which statistics are averaged anew) has
    `origin` in its context: a stage of seed 0 and its child of seed 0 draw other numbers. What
    says which data there are (subset, validation, fixed transforms) has not: images that a stage
    held out stay held out in its children.
    """
    text = "\x1f".join(["retable", str(seed), str(stream), *map(str, context)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
