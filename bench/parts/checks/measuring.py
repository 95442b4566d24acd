"""What a measurement works on, with random data in place of a dataset."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts.checks.random_data import Inputs, facts_of, random_targets
from bench.parts.objectives.classification import Classification
from bench.spec.seeds import stream_seed
from bench.training.evaluate import evaluate

_TRAIN, _TEST = 8, 6
_BATCH = 5


class RandomMeasuring:
    """Networks by role, and a classification of random inputs.

    Parameters
    ----------
    networks
        By role; they are copied and never changed.
    inputs
        What goes into them; None of a measurement that declares no data.
    """

    seed = 0
    device = torch.device("cpu")
    dataset = "random"

    def __init__(self, networks: Mapping[str, Network], inputs: Inputs | None) -> None:
        self._networks = networks
        self._inputs = inputs
        self._objective = Classification()
        self._facts = facts_of(self._objective)
        self.classes = self._facts.classes

    def network(self, role: str) -> Network:
        """Return a copy of a role's network in evaluation mode."""
        if role not in self._networks:
            raise ValueError(f"asks for the network {role!r}, and declares {[*self._networks]}")
        return copy.deepcopy(self._networks[role]).eval()

    def new_head(self, network: Network) -> nn.Linear:
        """Give a network a head of zeros, and return it."""
        network.replace_heads({"": self._objective.width(self._facts)})
        return network.heads[""]

    def parent(self, role: str) -> dict[str, Tensor]:
        """Return the outputs and targets that a role's cell would have kept."""
        network = self.network(role)
        with torch.no_grad():
            pairs = [(network(x).logits, y) for x, y in self.batches("test", _BATCH)]
        return {
            "outputs": torch.cat([outputs for outputs, _ in pairs]),
            "targets": torch.cat([targets for _, targets in pairs]),
        }

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels of ``train`` or ``test``."""
        if self._inputs is None:
            raise ValueError("declares data: none, and asks for data")
        count, seed = {"train": (_TRAIN, 1), "test": (_TEST, 2)}[split]
        inputs = self._inputs.draw(seed, count)
        targets = random_targets(self._facts, count, seed)
        rows = np.arange(count)
        if shuffle is not None:
            rows = shuffle.permutation(count)
        for chosen in torch.split(torch.from_numpy(rows[:limit]), batch_size):
            yield inputs[chosen], targets[chosen]

    def scores(self, network: Network, split: str) -> dict[str, float]:
        """Return the metrics of a network on a split."""
        return evaluate(network, self.batches(split, _BATCH), self._objective)

    def scores_of(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the metrics of outputs ``(n, width)``."""
        return self._objective.scores(outputs.detach().numpy(), targets.numpy())

    def stream(self, *name: object) -> Stream:
        """Return a random stream of the cell's own, by name."""
        return Stream(stream_seed(self.seed, "measurement", *name))
