"""Transforms of whole batches on the device, after normalisation; each has a stream of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from bench.data.streams import Stream
from bench.spec.seeds import origin, stream_seed


class Transform(Protocol):
    """Changes the inputs of a batch.

    A fixed one draws the same numbers for every batch, of training and of evaluation (such as
    a permutation of the pixels); a ``random`` one draws anew at every step, and only in training.
    """

    @property
    def random(self) -> bool:
        """Whether it draws anew at every step."""

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return the changed inputs ``(b, …)``, as many as given."""


def in_training(
    inputs: Tensor,
    transforms: Mapping[str, Transform],
    seed: int,
    dataset: str,
    step: int,
    trainings: int = 0,
) -> Tensor:
    """Apply all transforms, in order, to the inputs of a training step; see `TrainingBatches`."""
    for name, transform in transforms.items():
        if transform.random:
            stream = Stream(
                stream_seed(seed, "transform", name, dataset, *origin(trainings)), jump=step
            )
        else:
            stream = _fixed(name, seed)
        inputs = transform(inputs, stream)
    return inputs


def in_evaluation(inputs: Tensor, transforms: Mapping[str, Transform], seed: int) -> Tensor:
    """Apply the fixed transforms, in order."""
    for name, transform in transforms.items():
        if not transform.random:
            inputs = transform(inputs, _fixed(name, seed))
    return inputs


def _fixed(name: str, seed: int) -> Stream:
    return Stream(stream_seed(seed, "transform", name))
