"""Rows drawn as released code draws them, with NumPy's old generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.spec.catalogue import Draw


def drawn_order(count: int, draw: Draw) -> NDArray[np.int64]:
    """Return a random order of 0 … count - 1: ``numpy.random.RandomState(seed).permutation``.

    A list that is shuffled by ``permutation`` has this order, and the first k of it are what
    ``choice(count, k, replace=False)`` gives. NumPy keeps this generator's numbers as they are
    (NEP 19), so that what was drawn by it can be drawn again.
    """
    generator = np.random.RandomState(draw.seed)
    return generator.permutation(count).astype(np.int64)
