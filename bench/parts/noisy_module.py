"""A network of which one module is put anywhere on a path, with noise, and its errors there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts import Measuring
from bench.parts.module_path import ModulePath
from bench.parts.rewound import State, put
from bench.parts.valleys import Floats
from bench.training.evaluate import predict

_BATCH = 250
# A mean of fractions is rounded.
ROUNDING = 1e-9


@dataclass(frozen=True)
class NoisyModule:
    """A module of a network, whose state is put anywhere on a path, with noise.

    Attributes
    ----------
    own
        The module's tensors in the network.
    path, alphas
        Where they go.
    deviations, noises
        What is added to the parameters: each noise times each deviation.
    examples
        What the network errs on.
    """

    own: State
    path: ModulePath
    alphas: Sequence[float]
    deviations: Floats
    noises: Sequence[State]
    examples: Examples

    def passes(self, row: int, column: int, epsilon: float) -> bool:
        """Whether the mean error over the draws is at most ε; no more draws than it takes."""
        room = (epsilon + ROUNDING) * len(self.noises)
        total = 0.0
        for noise in self.noises:
            total += self._error(row, column, noise)
            if total > room:
                return False
        return True

    def errors(self) -> Floats:
        """Return the mean errors over the draws, ``(alphas, deviations)``."""
        rows, columns = range(len(self.alphas)), range(len(self.deviations))
        return np.array(
            [
                [np.mean([self._error(i, k, noise) for noise in self.noises]) for k in columns]
                for i in rows
            ]
        )

    def _error(self, row: int, column: int, noise: State) -> float:
        put(self.own, self.path.at(self.alphas[row]))
        for name, value in noise.items():
            self.own[name].add_(value, alpha=float(self.deviations[column]))
        return self.examples.error()


class Examples:
    """Examples that a network errs on, kept in memory, and how often it ran on them.

    Attributes
    ----------
    count
        How many examples there are.
    evaluations
        How often the network ran on all of them.
    """

    def __init__(
        self,
        measuring: Measuring,
        network: Network,
        split: str,
        limit: int,
        score: Callable[[Mapping[str, float]], float],
    ) -> None:
        # Training rows lie sorted by class.
        order = measuring.stream("examples", measuring.dataset)
        self._batches = list(measuring.batches(split, _BATCH, shuffle=order, limit=limit))
        self._network = network
        self._scores_of = measuring.scores_of
        self._score = score
        self.count = sum(len(targets) for _, targets in self._batches)
        self.evaluations = 0

    def error(self) -> float:
        """Return the error of the network as it is now; 1 where an output is not finite."""
        self.evaluations += 1
        outputs, targets = predict(self._network, self._batches)
        if not torch.isfinite(outputs).all():
            return 1.0
        return 1.0 - self._score(self._scores_of(outputs, targets))


def draw_noise(stream: Stream, like: State) -> State:
    """Return a draw of N(0, 1) for each element of tensors."""
    sizes = [value.numel() for value in like.values()]
    drawn = torch.from_numpy(stream.normal(sum(sizes)))
    return {
        name: part.reshape(value.shape).to(value)
        for (name, value), part in zip(like.items(), torch.split(drawn, sizes), strict=True)
    }
