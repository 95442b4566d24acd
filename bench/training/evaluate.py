"""Scoring a network on a split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Objective
from bench.training.finite import NotANumber
from bench.training.numerics import autocast

Batch = tuple[Tensor, Tensor]
# Outputs stay on a GPU until a split is scored, or there are so many bytes of them.
_KEPT_ON = frozenset({"cuda"})
_FETCH_BYTES = 2**28


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own after."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def predict(
    network: Network,
    batches: Iterable[Batch],
    *,
    task: str = "",
    precision: str = "float32",
    head: nn.Module | None = None,
) -> tuple[Tensor, Tensor]:
    """Return outputs ``(n, width)`` and targets of a split, on the CPU, in evaluation mode.

    Parameters
    ----------
    network
        Left in the mode, training or evaluation, in which each of its modules was.
    batches
        Inputs ``(b, …)``, or images ``(b, crops, 3, s, s)``, with targets. The outputs
        of several crops are averaged: the same prediction as from their sum (the code released
        with Chen et al. 2019), and a loss on the scale of a single crop's.
    head
        What turns features ``(b, d)`` into outputs; the network's own where not given.
    """
    device = next(network.parameters()).device
    outputs, targets = _Fetched(), _Fetched()
    with evaluating(network), torch.inference_mode(), autocast(precision, device):
        for inputs, answers in batches:
            outputs.add(_outputs(network, head, inputs, task))
            targets.add(answers)
        outputs.fetch()
        targets.fetch()
    return torch.cat(outputs.parts), torch.cat(targets.parts)


class _Fetched:
    """Tensors of batches, brought to the CPU many at a time: a GPU waits at each fetch.

    Attributes
    ----------
    parts
        What was fetched, in order.
    """

    def __init__(self) -> None:
        self.parts: list[Tensor] = []
        self._waiting: list[Tensor] = []
        self._bytes = 0

    def add(self, part: Tensor) -> None:
        """Take a batch's ``(b, …)``."""
        if part.device.type not in _KEPT_ON:
            self.parts.append(part)
            return
        self._waiting.append(part)
        self._bytes += part.nbytes
        if self._bytes > _FETCH_BYTES:
            self.fetch()

    def fetch(self) -> None:
        """Bring what is waiting to the CPU."""
        if self._waiting:
            self.parts.append(torch.cat(self._waiting).cpu())
        self._waiting, self._bytes = [], 0


def evaluate(
    network: Network,
    batches: Iterable[Batch],
    objective: Objective,
    *,
    task: str = "",
    precision: str = "float32",
    head: nn.Module | None = None,
) -> dict[str, float]:
    """Return the objective's metrics of a split; parameters as of `predict`.

    Raises
    ------
    UserError
        If the objective gives other metrics than it declares.
    """
    outputs, targets = predict(network, batches, task=task, precision=precision, head=head)
    found = objective.scores(outputs.numpy(), targets.numpy())
    declared = objective.metric_names()
    if found.keys() != declared.keys():
        raise UserError(
            f"the objective declares the metrics {sorted(declared)} and gives {sorted(found)}",
            remedy="let its metrics and its scores name the same",
        )
    return found


def _outputs(network: Network, head: nn.Module | None, inputs: Tensor, task: str) -> Tensor:
    def single(crop: Tensor) -> Tensor:
        output = network(crop, task=task)
        logits: Tensor = output.logits if head is None else head(output.features)
        return logits.float()

    if inputs.ndim != 5:
        return single(inputs)
    # One crop at a time keeps the memory of a batch that of single crops.
    return torch.stack([single(crop) for crop in inputs.unbind(1)]).mean(0)


def named(split: str, metrics: dict[str, float], step: int) -> dict[str, float]:
    """Return metrics as ``split/name``.

    Raises
    ------
    NotANumber
        If one is not finite: the network was left with infinite weights by the last step.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise NotANumber(f"{split}/{name}", step, value)
    return {f"{split}/{name}": value for name, value in metrics.items()}
