"""What a measurement works on, with random data in place of a dataset."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.models.network import Network
from bench.parts.checks.random_data import Inputs, facts_of, random_targets
from bench.parts.objectives.classification import Classification
from bench.spec.recipe import Image
from bench.spec.seeds import stream_seed
from bench.training.cost import multiply_adds
from bench.training.evaluate import evaluate
from bench.training.statistics import average_over

_TRAIN, _TEST = 8, 6
_BATCH = 5


class RandomMeasuring:
    """Networks by role, and a classification of random inputs.

    Parameters
    ----------
    networks
        By role; they are copied and never changed.
    inputs
        What goes into them.
    data
        Whether the measurement declares any, and may ask for batches and scores.
    learnt
        The role, if any, whose network has learnt the training split: the labels are its answers.
    """

    seed = 0
    device = torch.device("cpu")
    dataset = "random"
    # Its inputs are drawn as networks see them: no file was normalised.
    image: Image | None = None

    def __init__(
        self, networks: Mapping[str, Network], inputs: Inputs, *, data: bool, learnt: str = ""
    ) -> None:
        self._networks = networks
        self._learnt = learnt
        self.roles = tuple(networks)
        self._inputs = inputs
        self._has_data = data
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
        """Return the predictions that a role's cell would have kept; as `Keeper` does."""
        network, found = self.network(role), {}
        for split, seed in (("", 2), ("validation/", 3)):
            inputs = self._inputs.draw(seed, _TEST)
            with torch.no_grad():
                found[f"{split}outputs"] = network(inputs).logits
            found[f"{split}targets"] = random_targets(self._facts, _TEST, seed)
        found["test_rows"] = torch.zeros(32, dtype=torch.uint8)
        found["multiply_adds"] = torch.tensor(multiply_adds(network, inputs[:1]))
        if len(self._inputs.shape) == 3:
            found["image_size"] = torch.tensor(self._inputs.shape[-1])
        return found

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and labels of ``train`` or ``test``."""
        if not self._has_data:
            raise ValueError("declares data: none, and asks for data")
        count, seed = {"train": (_TRAIN, 1), "test": (_TEST, 2)}[split]
        inputs = self._inputs.draw(seed, count)
        targets = random_targets(self._facts, count, seed)
        if split == "train" and self._learnt:
            with torch.no_grad():
                targets = self.network(self._learnt)(inputs).logits.argmax(dim=1)
        rows = np.arange(count)
        if shuffle is not None:
            rows = shuffle.permutation(count)
        for chosen in torch.split(torch.from_numpy(rows[:limit]), batch_size):
            yield inputs[chosen], targets[chosen]

    def average_anew(self, network: Network, batch_size: int) -> None:
        """Average running statistics over the training rows anew, in place."""
        stream = self.stream("statistics")
        ((inputs, _),) = self.batches("train", _TRAIN, shuffle=stream)
        parts = torch.tensor_split(inputs, -(-_TRAIN // batch_size))
        average_over(network, {"": [(part, len(part) / _TRAIN) for part in parts]})

    def settings(self, role: str) -> dict[str, Any]:
        """Return nothing: no cell has trained the networks."""
        return {}

    def scores(
        self,
        network: Network,
        split: str,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> dict[str, float]:
        """Return the metrics of a network on a split."""
        batches = self.batches(split, _BATCH, shuffle=shuffle, limit=limit)
        return evaluate(network, batches, self._objective)

    def scores_of(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the metrics of outputs ``(n, width)``."""
        return self._objective.scores(outputs.detach().numpy(), targets.numpy())

    def stream(self, *name: object) -> Stream:
        """Return a random stream of the cell's own, by name."""
        return Stream(stream_seed(self.seed, "measurement", *name))
