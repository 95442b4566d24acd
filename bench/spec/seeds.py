"""Separate random streams from one seed, so that at one seed all methods see the same data."""

from __future__ import annotations

import hashlib
from typing import Literal

Stream = Literal["subset", "validation", "head", "backbone", "order", "augmentation", "attention"]


def stream_seed(seed: int, stream: Stream | str, *context: object) -> int:
    """Return a 63-bit seed for one stream of a cell.

    It depends on the cell's seed, the stream's name and the given context (a dataset's or a
    backbone's name), never on the method.
    """
    text = "\x1f".join(["retable", str(seed), str(stream), *map(str, context)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
