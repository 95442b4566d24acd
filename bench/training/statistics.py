"""Running statistics of batch normalisations, averaged anew over a task's training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.data.streams import Stream
from bench.models.network import Network
from bench.spec.metrics import prefix_of
from bench.spec.recipe import Evaluation, Recipe
from bench.spec.seeds import origin, stream_seed
from bench.training.finite import NotANumber
from bench.training.numerics import autocast
from bench.training.task_data import TaskData


def average_anew(network: Network, tasks: Mapping[str, TaskData], recipe: Recipe) -> None:
    """Replace all running statistics by their averages over the tasks' training rows, in place.

    One pass over the rows without augmentation, in batches of nearly one size, normalised by the
    batch; a running mean, or variance, becomes the mean of the batches', by the share of the rows
    that is in each. Rows come shuffled, by a stream of their own: sorted by class, the variance
    within a batch would not be that of the data. What is private to a task sees its rows alone;
    what is shared sees every task's, and each task counts as much. Nothing else changes: not the
    parameters, nor any module's mode. Normalisations that do not run keep what they had.

    Parameters
    ----------
    network
        On its device, as it is before the first step.

    Raises
    ------
    NotANumber
        If a statistic is not finite, naming the task.
    """
    device = next(network.parameters()).device
    rows = {name: _batches(data, recipe, device, network.trainings) for name, data in tasks.items()}
    average_over(network, rows, precision=recipe.precision)


def average_over(
    network: Network,
    batches: Mapping[str, Iterable[tuple[Tensor, float]]],
    *,
    precision: str = "float32",
) -> None:
    """Replace all running statistics by their averages over batches, as `average_anew` says.

    Parameters
    ----------
    batches
        By task: inputs, and how much they count beside the task's other batches.
    """
    device = next(network.parameters()).device
    seen: dict[nn.Module, float] = {}
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        for name, each in batches.items():
            with network.as_task(name) as backbone:
                norms = [
                    module
                    for module in backbone.modules()
                    if isinstance(module, _BatchNorm) and module.running_mean is not None
                ]
            for inputs, share in each:
                with _accumulating(norms, seen, share), autocast(precision, device):
                    network(inputs, task=name)
            _check_finite(norms, name)
    finally:
        for module, training in modes:
            module.training = training


def running(network: Network) -> list[_BatchNorm]:
    """Return the batch normalisations that keep running statistics, private ones too."""
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


@contextmanager
def put_back(network: Network) -> Iterator[None]:
    """Give batch normalisations their statistics of before back at the end, bit for bit."""
    buffers = [buffer for norm in running(network) for buffer in norm.buffers(recurse=False)]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def _batches(
    data: TaskData, recipe: Recipe, device: torch.device, trainings: int
) -> Iterator[tuple[Tensor, float]]:
    """Yield shuffled batches that differ in size by at most one row, with their share of all."""
    key = stream_seed(data.seed, "statistics", data.prepared.name, *origin(trainings))
    rows = data.train[Stream(key).permutation(len(data.train))]
    for part in np.array_split(rows, -(-len(rows) // recipe.batch_size)):
        evaluation = Evaluation(batch_size=len(part))
        ((inputs, _),) = data.evaluation_batches(
            "train", evaluation, device, channels_last=recipe.channels_last, rows=part
        )
        yield inputs, len(part) / len(rows)


@contextmanager
def _accumulating(
    norms: list[_BatchNorm], seen: dict[nn.Module, float], share: float
) -> Iterator[None]:
    """Let normalisations take one more batch into their cumulative average."""

    def weigh(module: nn.Module, _: object) -> None:
        assert isinstance(module, _BatchNorm)
        # The first batch replaces what was there.
        if module not in seen and isinstance(module.num_batches_tracked, Tensor):
            module.num_batches_tracked.zero_()
        seen[module] = seen.get(module, 0.0) + share
        module.momentum = share / seen[module]

    momenta = [norm.momentum for norm in norms]
    hooks = [norm.register_forward_pre_hook(weigh) for norm in norms]
    for norm in norms:
        norm.train()
    try:
        with torch.no_grad():
            yield
    finally:
        for norm, momentum, hook in zip(norms, momenta, hooks, strict=True):
            hook.remove()
            norm.momentum = momentum
            norm.eval()


def _check_finite(norms: list[_BatchNorm], task: str) -> None:
    for norm in norms:
        for name, value in (("mean", norm.running_mean), ("variance", norm.running_var)):
            assert value is not None
            wrong = value[~torch.isfinite(value)]
            if len(wrong):
                raise NotANumber(f"{prefix_of(task)}running {name}", 0, float(wrong[0]))
