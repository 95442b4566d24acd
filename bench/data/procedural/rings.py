"""Rings: points in the plane; a class is half of one of five noisy rings, turned ring by ring.

No line separates two classes, and neighbouring rings touch: a linear model is right once in three
times, a small multilayer perceptron nine times in ten.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.procedural.canvas import cosine, sine
from bench.data.streams import uniform_rows

RINGS = 5
CLASSES = 2 * RINGS
_DRAWS = 4
# Each ring's halves begin this much further round than those of the ring inside, in turns.
_TWIST = 0.15
_WIDTH = 0.16


def points(label: int, split: str, count: int) -> NDArray[np.float32]:
    """Return the first ``count`` points of a class in a split, ``(count, 2)`` within ±1.1."""
    ring, half = divmod(label, 2)
    u = uniform_rows([("rings", split, label, row) for row in range(count)], _DRAWS)
    turn = 0.5 * (half + u[:, 0]) + _TWIST * ring
    # The mean of three uniforms is close to a normal.
    radius = (ring + 1.0) / RINGS + _WIDTH * (u[:, 1] + u[:, 2] + u[:, 3] - 1.5) / 1.5
    return np.stack([radius * cosine(turn), radius * sine(turn)], axis=1).astype(np.float32)
