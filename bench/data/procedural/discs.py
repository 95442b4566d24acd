"""Discs: points of the plane under three labellings, for what a small network can be tuned to.

In the manner of Mudrakarta et al. 2019, appendix A.2, whose shapes are in its figures alone: these
are our choice. Two discs lie symmetrically left and right of the middle.

- ``discs-together``: both discs are class 1.
- ``discs-apart``: the left disc alone is class 1.
- ``discs-askew``: the left disc is class 1, and a smaller one above the right.

Half of the points are spread over the square, and half over the two discs, before those of a
class are taken: so each disc holds a good part of every class that it belongs to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.procedural.canvas import Floats, cosine, sine
from bench.data.streams import Stream
from bench.spec.seeds import stream_seed

# Centre and radius.
LEFT, RIGHT, SMALL = ((-0.5, 0.0), 0.35), ((0.5, 0.0), 0.35), ((0.5, 0.7), 0.25)
LABELLINGS = {
    "discs-together": (LEFT, RIGHT),
    "discs-apart": (LEFT,),
    "discs-askew": (LEFT, SMALL),
}
CLASSES = 2
_DRAWS = 5


def labels(name: str, points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return each point's class under a labelling, 1 within its discs."""
    x, y = points.astype(np.float64).T
    inside = [(x - a) ** 2 + (y - b) ** 2 < r * r for (a, b), r in LABELLINGS[name]]
    classes: NDArray[np.int64] = np.any(inside, axis=0).astype(np.int64)
    return classes


def points(name: str, label: int, split: str, count: int) -> NDArray[np.float32]:
    """Return the first ``count`` points of a class in a split, ``(count, 2)`` within ±1."""
    stream = Stream(stream_seed(0, "procedural", name, split, label))
    taken = np.empty((0, 2), dtype=np.float32)
    while len(taken) < count:
        drawn = _drawn(stream.uniform(_DRAWS * count).reshape(count, _DRAWS))
        taken = np.concatenate([taken, drawn[labels(name, drawn) == label]])
    return taken[:count]


def _drawn(u: Floats) -> NDArray[np.float32]:
    """Return points of the square or of a disc, from five uniform numbers each."""
    (a, b), r = LEFT
    reach = r * np.sqrt(u[:, 2])
    side = np.where(u[:, 1] < 0.5, 1.0, -1.0)
    disc = np.stack([side * a + reach * cosine(u[:, 3]), b + reach * sine(u[:, 3])], axis=1)
    square = 2.0 * u[:, 3:5] - 1.0
    return np.where(u[:, :1] < 0.5, square, disc).astype(np.float32)
