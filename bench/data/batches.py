"""Batches on the device: gathered from the memory map as uint8, augmented there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.data.augment import (
    centre,
    draw_boxes,
    mirrored,
    normalised,
    resized_boxes,
)
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.errors import DataError
from bench.spec.recipe import Augmentation, Image
from bench.spec.seeds import stream_seed


def _on(device: torch.device, array: NDArray[np.generic]) -> Tensor:
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        # From pinned memory the copy runs beside the previous step.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


class Order(Protocol):
    """Which rows make a batch; any step can be asked for at any time."""

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the split in batch ``step`` (from 0), ``(batch_size,)``."""


class ShuffledOrder:
    """Every epoch a new permutation of the rows.

    Batches are always full: they run over the borders of epochs, so that every row is seen
    equally often, and a set smaller than a batch repeats in it. Depends on (seed, epoch).
    """

    def __init__(self, rows: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of batch ``step`` (from 0), ``(batch_size,)``."""
        place = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs, within = np.divmod(place, len(self._rows))
        out = np.empty(self._batch_size, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            mine = epochs == epoch
            out[mine] = self._rows[self._permutation(epoch)[within[mine]]]
        return out

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        order = self._epochs.get(epoch)
        if order is None:
            if len(self._epochs) > 8:
                self._epochs.clear()
            order = Stream(self._seed, jump=epoch).permutation(len(self._rows))
            self._epochs[epoch] = order
        return order


class BalancedOrder:
    """Equally many rows of each class in every batch, class after class.

    Each class has epochs of its own, as `ShuffledOrder` has them: classes with fewer rows come
    round sooner.

    Raises
    ------
    DataError
        If the batch size is not a multiple of the number of classes.
    """

    def __init__(
        self, rows: NDArray[np.int64], labels: NDArray[np.int64], batch_size: int, seed: int
    ) -> None:
        classes, self._sizes = np.unique(labels[rows], return_counts=True)
        if batch_size % len(classes):
            raise DataError(
                f"balanced batches of {batch_size} images cannot hold equally many of "
                f"{len(classes)} classes",
                field="batch_size",
                remedy=f"use a multiple of {len(classes)}, or batches: shuffled",
            )
        self._share = batch_size // len(classes)
        self._seeds = [stream_seed(seed, "class", int(c)) for c in classes]
        # The rows of each class, one class after the other, and the same in this epoch's order.
        self._rows = rows[np.argsort(labels[rows], kind="stable")]
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._ordered = self._rows.copy()
        self._epochs = np.full(len(classes), -1)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of batch ``step`` (from 0), ``(batch_size,)``."""
        place = np.arange(step * self._share, (step + 1) * self._share)
        epochs, within = np.divmod(place[None, :], self._sizes[:, None])
        out = np.empty(within.shape, dtype=np.int64)
        while True:
            now = epochs == self._epochs[:, None]
            out[now] = self._ordered[(self._starts[:, None] + within)[now]]
            epochs[now] = -1
            left = epochs.max(axis=1)
            if left.max() < 0:
                return out.reshape(-1)
            # Only classes at the border of an epoch draw anew.
            for c in np.flatnonzero(left >= 0):
                self._draw(int(c), int(epochs[c][epochs[c] >= 0][0]))

    def _draw(self, c: int, epoch: int) -> None:
        start, size = int(self._starts[c]), int(self._sizes[c])
        order = Stream(self._seeds[c], jump=epoch).permutation(size)
        self._ordered[start : start + size] = self._rows[start : start + size][order]
        self._epochs[c] = epoch


class TrainingBatches:
    """The endless sequence of training batches of a cell; any step can be had at any time.

    The order depends on (seed, dataset) and the augmentation on (seed, dataset, step): neither
    on the method, the device or the steps asked for before.

    Parameters
    ----------
    split
        Where the images lie.
    indices
        Rows of the split to train on.
    balanced
        Whether every batch holds equally many images of each class.
    dataset
        Its name, part of the random streams' keys.
    """

    def __init__(
        self,
        split: Split,
        indices: ArrayLike,
        *,
        batch_size: int,
        balanced: bool = False,
        image: Image,
        augmentation: Augmentation,
        seed: int,
        dataset: str,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        self._split = split
        rows = np.asarray(indices, dtype=np.int64)
        if not len(rows):
            raise ValueError("there is no image to train on")
        order_seed = stream_seed(seed, "order", dataset)
        self._order: Order = (
            BalancedOrder(rows, np.asarray(split.labels), batch_size, order_seed)
            if balanced
            else ShuffledOrder(rows, batch_size, order_seed)
        )
        self._image = image
        self._augmentation = augmentation
        self._augmentation_seed = stream_seed(seed, "augmentation", dataset)
        self._device = device
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the split in batch ``step`` (from 0), ``(batch_size,)``."""
        return self._order.rows(step)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return batch ``step`` (from 0) on the device.

        Returns
        -------
        images
            ``(b, 3, size, size)`` float32, normalised.
        labels
            ``(b,)`` int64.
        """
        rows = self.rows(step)
        stream = Stream(self._augmentation_seed, jump=step)
        boxes = draw_boxes(stream, len(rows), self._image, self._augmentation)
        if self._augmentation.crop == "random-resized":
            pixels = _on(self._device, self._split.images[rows])
            images = resized_boxes(pixels, boxes, self._image.size)
        else:
            cut = _cut(self._split, rows, boxes.top, boxes.left, self._image.size)
            images = _on(self._device, cut).permute(0, 3, 1, 2).float()
            images = mirrored(images, boxes.flip)
        images = normalised(images, self._image.normalise).contiguous(memory_format=self._format)
        return images, _on(self._device, self._split.labels[rows])


def _cut(
    split: Split, rows: NDArray[np.int64], top: ArrayLike, left: ArrayLike, size: int
) -> NDArray[np.uint8]:
    """Copy a window of each row's image, ``(b, size, size, 3)``, without the rest of it."""
    out = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    tops = np.broadcast_to(top, rows.shape).tolist()
    lefts = np.broadcast_to(left, rows.shape).tolist()
    for place, (row, y, x) in enumerate(zip(rows.tolist(), tops, lefts, strict=True)):
        out[place] = split.images[row, y : y + size, x : x + size]
    return out


def evaluation_batches(
    split: Split,
    *,
    indices: ArrayLike | None = None,
    image: Image,
    crops: Literal[1, 10] = 1,
    batch_size: int,
    device: torch.device,
    channels_last: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(images, labels)`` of all rows in order; the last batch may be smaller.

    With one crop, images are ``(b, 3, size, size)``: the centre. With ten, ``(b, 10, 3, size,
    size)``: the corners (upper left, upper right, lower left, lower right) and the centre, then
    the same of the mirrored image, as torchvision's ``TenCrop``. The released code of Chen et al.
    2019 takes its far crops one pixel before the corner (offsets 0, 15.5 and 31 of 32).

    Parameters
    ----------
    indices
        Rows to score; all where not given.
    """
    rows = np.arange(len(split)) if indices is None else np.asarray(indices, dtype=np.int64)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        if crops == 1:
            middle = centre(image.resize, image.size)
            pixels = _on(device, _cut(split, part, middle, middle, image.size))
            images = normalised(pixels.permute(0, 3, 1, 2).float(), image.normalise)
            images = images.contiguous(memory_format=memory)
        else:
            images = normalised(_ten(_on(device, split.images[part]), image), image.normalise)
        yield images, _on(device, split.labels[part])


def _ten(pixels: Tensor, image: Image) -> Tensor:
    """Return the ten crops of ``(b, h, w, 3)`` images, ``(b, 10, 3, size, size)`` in 0…255."""
    size, far = image.size, image.resize - image.size
    middle = int(centre(image.resize, size))
    corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    upright = pixels.permute(0, 3, 1, 2)
    windows = [
        whole[..., y : y + size, x : x + size]
        for whole in (upright, upright.flip(-1))
        for y, x in corners
    ]
    return torch.stack(windows, dim=1).float()
