"""Scoring a network on a split."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from bench.models.network import Network
from bench.training.finite import NotANumber
from bench.training.metrics import split_metrics
from bench.training.numerics import autocast


def evaluate(
    network: Network, batches: Iterable[tuple[Tensor, Tensor]], *, precision: str = "float32"
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
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    device = next(network.parameters()).device
    logits, labels = [], []
    try:
        with torch.inference_mode(), autocast(precision, device):
            for images, answers in batches:
                logits.append(_logits(network, images).cpu())
                labels.append(answers.cpu())
    finally:
        for module, training in modes:
            module.training = training
    return split_metrics(torch.cat(logits).numpy(), torch.cat(labels).numpy())


def _logits(network: Network, images: Tensor) -> Tensor:
    if images.ndim == 4:
        logits: Tensor = network(images).logits.float()
        return logits
    # One crop at a time keeps the memory of a batch that of single crops.
    crops = [network(crop).logits.float() for crop in images.unbind(1)]
    return torch.stack(crops).mean(0)


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
