"""Ripples: numbers over two squares of the plane, sin(10‖x‖), and what is observed of them.

The toy of Chakravarthy et al. 2025, section 4.1 and appendix C.1. A target is a pair: the number
itself, and the same with N(0, 1) noise.

- ``ripples-original``: points uniform in [-1, 1)².
- ``ripples-new``: points uniform in [0.8, 1.5)².
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.data.procedural.canvas import Floats, sine
from bench.data.streams import Stream
from bench.spec.seeds import stream_seed

SQUARES = {"ripples-original": (-1.0, 1.0), "ripples-new": (0.8, 1.5)}
# The paper does not say how many it tests on.
COUNTS = {"train": 50_000, "test": 20_000}


def heights(points: NDArray[np.float32]) -> Floats:
    """Return sin(10‖x‖) of points ``(n, 2)``, to about 1e-11."""
    x, y = points.astype(np.float64).T
    return sine(10.0 * np.sqrt(x * x + y * y) / (2.0 * math.pi))


def rows(name: str, split: str, count: int | None = None) -> Split:
    """Return the first ``count`` points of a split, all by default, with targets ``(n, 2)``."""
    count = COUNTS[split] if count is None else count
    places = Stream(stream_seed(0, "procedural", name, split))
    points = places.uniform(2 * count, *SQUARES[name]).reshape(count, 2).astype(np.float32)
    noise = Stream(stream_seed(0, "procedural", name, split, "noise")).normal(count)
    exact = heights(points)
    return Split(points, np.stack([exact, exact + noise], axis=1).astype(np.float32))
