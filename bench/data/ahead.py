"""Batches made one step ahead of a GPU, on a stream of their own while it computes."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.batches import Batches

Batch = tuple[Tensor, Tensor]


def ahead(batches: Batches, device: torch.device) -> Batches:
    """Return batches whose next one is made while a GPU computes; on a CPU they are as they were.

    A batch is a function of its step, so that none is another by it.
    """
    return Ahead(batches, device) if device.type == "cuda" else batches


class Ahead:
    """Makes the batch of the next step as soon as one is asked for.

    Parameters
    ----------
    device
        A GPU.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._next: tuple[int, Batch] | None = None

    def batch(self, step: int) -> Batch:
        """Return inputs ``(b, …)`` and targets of a step that counts from 0."""
        made, self._next = self._next, None
        if made is None or made[0] != step:
            made = self._make(step)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        for tensor in made[1]:
            # Its memory is the other stream's: that is not to use it again before it was read here.
            tensor.record_stream(computing)
        self._next = self._make(step + 1)
        return made[1]

    def _make(self, step: int) -> tuple[int, Batch]:
        # What is kept on the device, such as a split's images, may have come by the other stream.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            return step, self._batches.batch(step)
