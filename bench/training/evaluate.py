"""Scoring a network on a split."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bench.models.network import Network
from bench.training.finite import NotANumber
from bench.training.metrics import split_metrics
from bench.training.numerics import autocast


def evaluate(
    network: Network,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    precision: str = "float32",
    head: nn.Module | None = None,
) -> dict[str, float]:
    """Return the metrics of a split (see `split_metrics`) in evaluation mode.

    Parameters
    ----------
    network
        Left in the mode, training or evaluation, in which each of its modules was.
    batches
        Images ``(b, 3, s, s)``, or ``(b, crops, 3, s, s)``, with labels ``(b,)``. The logits
        of several crops are averaged: the same prediction as from their sum (the code released
        with Chen et al. 2019), and a loss on the scale of a single crop's.
    head
        What turns features ``(b, d)`` into logits; the network's own where not given.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    device = next(network.parameters()).device
    logits, labels = [], []
    try:
        with torch.inference_mode(), autocast(precision, device):
            for images, answers in batches:
                logits.append(_logits(network, head, images).cpu())
                labels.append(answers.cpu())
    finally:
        for module, training in modes:
            module.training = training
    return split_metrics(torch.cat(logits).numpy(), torch.cat(labels).numpy())


def _logits(network: Network, head: nn.Module | None, images: Tensor) -> Tensor:
    def single(crop: Tensor) -> Tensor:
        output = network(crop)
        logits: Tensor = output.logits if head is None else head(output.features)
        return logits.float()

    if images.ndim == 4:
        return single(images)
    # One crop at a time keeps the memory of a batch that of single crops.
    return torch.stack([single(crop) for crop in images.unbind(1)]).mean(0)


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
