"""Random numbers that are the same on every machine and with every NumPy.

NumPy guarantees the raw output of its bit generators, not the methods of ``Generator``: all
draws here are made from raw 64-bit words by integer operations and exact scalings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.spec.seeds import stream_seed

Floats = NDArray[np.float64]
_SQRT_8_OVER_E = 1.7155277699214135


class Stream:
    """One stream of random numbers (Philox, counter-based).

    Parameters
    ----------
    seed
        Key of the stream, 0 to 2**64 - 1.
    jump
        Start of the stream at block ``jump * 2**64``: streams of one seed with other jumps do
        not overlap, and need no drawing through those before.
    """

    def __init__(self, seed: int, jump: int = 0) -> None:
        self._bits = np.random.Philox(key=seed, counter=[0, jump, 0, 0])

    def raw(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` uniform 64-bit words."""
        words: NDArray[np.uint64] = self._bits.random_raw(count)
        return words

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Return ``count`` numbers uniform in [low, high)."""
        unit = (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def normal(self, count: int) -> Floats:
        """Return ``count`` numbers from N(0, 1).

        By the ratio of uniforms (Kinderman and Monahan 1977): a value is a quotient of two
        uniform numbers, and the one function that machines may round differently, the logarithm,
        only decides whether it is taken.
        """
        taken = np.empty(0)
        while len(taken) < count:
            pairs = self.uniform(2 * (count - len(taken))).reshape(-1, 2)
            u = 1.0 - pairs[:, 0]
            x = _SQRT_8_OVER_E * (pairs[:, 1] - 0.5) / u
            taken = np.concatenate([taken, x[x * x <= -4.0 * np.log(u)]])
        return taken

    def permutation(self, count: int) -> NDArray[np.int64]:
        """Return a random order of 0 … count - 1."""
        return np.argsort(self.raw(count), kind="stable").astype(np.int64)


def uniform_rows(keys: list[tuple[object, ...]], count: int) -> Floats:
    """Return ``(len(keys), count)`` uniform numbers, each row from its own key's stream."""
    rows = np.empty((len(keys), count))
    for row, key in zip(rows, keys, strict=True):
        row[:] = Stream(stream_seed(0, "procedural", *key)).uniform(count)
    return rows
