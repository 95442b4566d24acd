"""What a forward pass costs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.models.network import Network
from bench.training.evaluate import evaluating


def multiply_adds(network: Network, inputs: Tensor, *, task: str = "") -> int:
    """Return the multiply-adds of a pass over inputs ``(b, …)``, head included.

    Counted by `torch.utils.flop_counter`, which gives two operations for each: those of
    convolutions, of products of matrices and of attention. It counts nothing else: no biases,
    normalisations, activations, pooling or resizing.

    Parameters
    ----------
    network
        Left in the mode, training or evaluation, in which each of its modules was.
    """
    # In inference mode linear layers are no products of matrices yet, and would be passed over.
    with evaluating(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(inputs, task=task)
    operations: int = counter.get_total_flops()
    return operations // 2
