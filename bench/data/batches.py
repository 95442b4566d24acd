"""Batches on the device: gathered from the memory map; images are augmented there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.data.order import BalancedOrder, Order, ShuffledOrder
from bench.data.pixels import augmented, cropped
from bench.data.prepared import Split
from bench.data.resident import on_device
from bench.data.streams import Stream
from bench.data.transforms import Transform, in_evaluation, in_training
from bench.errors import DataError
from bench.spec.recipe import Augmentation, Image
from bench.spec.seeds import origin, stream_seed

NONE: Mapping[str, Transform] = {}


class Batches(Protocol):
    """Gives the training batch of a step."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return inputs ``(b, …)`` and targets of a step that counts from 0."""


class TrainingBatches:
    """The endless sequence of training batches of a cell; any step can be had at any time.

    The order depends on (seed, dataset, trainings) and the augmentation on these and the step:
    neither on the method, the device or the steps asked for before.

    Parameters
    ----------
    split
        Where the rows lie.
    indices
        Rows of the split to train on.
    balanced
        Whether every batch holds equally many rows of each class.
    image, augmentation
        How pixels become inputs; None for any other data, whose rows are taken as they are.
    dataset
        Its name, part of the random streams' keys.
    transforms
        By name, which is part of their streams' keys; applied to the inputs, in order.
    trainings
        How many are behind the network that is trained; see `bench.spec.seeds.origin`.
    views
        How often the rows of a batch are augmented; a transform changes all views alike.

    Raises
    ------
    DataError
        If batches cannot be balanced.
    """

    def __init__(
        self,
        split: Split,
        indices: ArrayLike,
        *,
        batch_size: int,
        balanced: bool = False,
        image: Image | None,
        augmentation: Augmentation | None,
        seed: int,
        dataset: str,
        device: torch.device,
        channels_last: bool = False,
        transforms: Mapping[str, Transform] = NONE,
        trainings: int = 0,
        views: int = 1,
    ) -> None:
        self._split = split
        rows = np.asarray(indices, dtype=np.int64)
        if not len(rows):
            raise ValueError("there is no row to train on")
        if (image is None) != (augmentation is None):
            raise ValueError("images need both a size and an augmentation, other data neither")
        context = (dataset, *origin(trainings))
        order_seed = stream_seed(seed, "order", *context)
        self._order: Order = (
            BalancedOrder(rows, _classes(split, dataset), batch_size, order_seed)
            if balanced
            else ShuffledOrder(rows, batch_size, order_seed)
        )
        self._image = image
        self._augmentation = augmentation
        self._augmentation_seeds = [
            stream_seed(seed, "augmentation", *context, *([f"view {view}"] if view else []))
            for view in range(views)
        ]
        self._seed = seed
        self._dataset = dataset
        self._device = device
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._transforms = dict(transforms)
        self._trainings = trainings

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the split in batch ``step`` (from 0), ``(batch_size,)``."""
        return self._order.rows(step)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return batch ``step`` (from 0) on the device.

        Returns
        -------
        inputs
            Images ``(b, 3, size, size)`` float32, normalised; or rows ``(b, …)`` as prepared. With
            several views ``(views, b, …)``.
        targets
            ``(b,)`` int64 labels, or ``(b, …)`` float32.
        """
        rows = self.rows(step)
        views = [self._view(rows, step, seed) for seed in self._augmentation_seeds]
        inputs = views[0] if len(views) == 1 else torch.stack(views)
        return inputs, on_device(self._device, self._split.targets[rows])

    def _view(self, rows: NDArray[np.int64], step: int, augmentation_seed: int) -> Tensor:
        inputs = in_training(
            self._inputs(rows, step, augmentation_seed),
            self._transforms, self._seed, self._dataset, step, self._trainings,
        )  # fmt: skip
        if self._image is not None and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self._format)
        return inputs

    def _inputs(self, rows: NDArray[np.int64], step: int, augmentation_seed: int) -> Tensor:
        if self._image is None or self._augmentation is None:
            return on_device(self._device, self._split.inputs[rows])
        stream = Stream(augmentation_seed, jump=step)
        return augmented(self._split, rows, self._image, self._augmentation, stream, self._device)


def _classes(split: Split, dataset: str) -> NDArray[np.int64]:
    targets = np.asarray(split.targets)
    if targets.dtype.kind == "f":
        raise DataError(
            f"batches of {dataset} cannot be balanced: its targets are numbers, not classes",
            field="batches",
            remedy="use batches: shuffled",
        )
    return targets


def evaluation_batches(
    split: Split,
    *,
    indices: ArrayLike | None = None,
    image: Image | None,
    crops: Literal[1, 10] = 1,
    batch_size: int,
    device: torch.device,
    channels_last: bool = False,
    transforms: Mapping[str, Transform] = NONE,
    seed: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return ``(inputs, targets)`` of all rows in order; the last batch may be smaller.

    With one crop, images are ``(b, 3, size, size)``: the centre. With ten, ``(b, 10, 3, size,
    size)`` (see `cropped`). Rows that are no images come as they are, ``(b, …)``.

    Parameters
    ----------
    indices
        Rows to score; all where not given.
    image
        None for data that are no images.
    transforms, seed
        Those that are not random are applied, in order; they need the cell's seed.

    Raises
    ------
    DataError
        If ten crops are asked for of data that are no images.
    """
    if image is None and crops != 1:
        raise DataError(
            f"{crops} crops can only be taken of images",
            field="evaluation.crops",
            remedy="use evaluation.crops: 1",
        )
    fixed = {name: change for name, change in transforms.items() if not change.random}
    if fixed and seed is None:
        raise ValueError("a fixed transform draws from the cell's seed, which was not given")
    rows = np.arange(len(split)) if indices is None else np.asarray(indices, dtype=np.int64)
    memory = torch.channels_last if channels_last else torch.contiguous_format

    def inputs(part: NDArray[np.int64]) -> Tensor:
        if image is None:
            return in_evaluation(on_device(device, split.inputs[part]), fixed, seed or 0)
        images = cropped(split, part, image, crops, device)
        if fixed:
            # A transform sees images, not sets of crops.
            changed = in_evaluation(images.flatten(0, -4), fixed, seed or 0)
            images = changed.reshape(*images.shape[:-3], *changed.shape[1:])
        return images.contiguous(memory_format=memory) if images.ndim == 4 else images

    parts = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    return ((inputs(part), on_device(device, split.targets[part])) for part in parts)
