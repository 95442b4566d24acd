"""The way that a module's parameters go from one state to another."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from bench.parts.rewound import State


class ModulePath:
    """States of a module, piecewise linear through given ones, by the share of its length.

    Lengths and distances are of the parameters, in float64; statistics go with them.

    Parameters
    ----------
    states
        From the start to the end, two at least, all of the same names and shapes.
    parameters
        Which of the names are parameters.
    """

    def __init__(self, states: Sequence[State], parameters: Sequence[str]) -> None:
        self._states = states
        self._parameters = parameters
        lengths = [self._apart(a, b) for a, b in pairwise(states)]
        if not any(lengths):
            # Nothing moved but statistics, perhaps.
            lengths = [1.0] * len(lengths)
        shares = np.concatenate([[0.0], np.cumsum(lengths) / np.sum(lengths)])
        shares[-1] = 1.0
        self._shares: list[float] = shares.tolist()

    def at(self, alpha: float) -> State:
        """Return the state after a share of the way, in [0, 1]; both ends exactly."""
        if alpha in (0.0, 1.0):
            return self._states[0 if alpha == 0.0 else -1]
        after = bisect_left(self._shares, alpha)
        low, high = self._shares[after - 1], self._shares[after]
        weight = (alpha - low) / (high - low)
        first, second = self._states[after - 1], self._states[after]
        return {name: torch.lerp(first[name], second[name], weight) for name in first}

    def distance(self, alpha: float) -> float:
        """Return ‖θ^α − θ^0‖ over the parameters."""
        return self._apart(self.at(alpha), self._states[0])

    def _apart(self, first: State, second: State) -> float:
        return norm({n: first[n].double() - second[n].double() for n in self._parameters})


def norm(tensors: State) -> float:
    """Return the Euclidean norm of all their elements, summed in float64."""
    return math.sqrt(math.fsum(float(value.double().square().sum()) for value in tensors.values()))
