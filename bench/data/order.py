"""Which rows make a batch: shuffled, or equally many of each class."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.streams import Stream
from bench.errors import DataError
from bench.spec.seeds import stream_seed


class Order(Protocol):
    """Which rows make a batch; any step can be asked for at any time."""

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the split in batch ``step`` (from 0), ``(batch_size,)``."""


# How often a row may come in one batch: beyond it, drawing epochs takes longer than any training.
_MOST_REPEATS = 1000


def _check_repeats(batch_size: int, share: int, rows: int, of: str) -> None:
    if share > _MOST_REPEATS * rows:
        raise DataError(
            f"a batch of {batch_size} holds each row {share // rows} times: there "
            f"{'is' if rows == 1 else 'are'} {rows} {of}",
            field="batch_size",
            remedy=f"lower it: {_MOST_REPEATS} times is the most that a row may repeat",
        )


class ShuffledOrder:
    """Every epoch a new permutation of the rows.

    Batches are always full: they run over the borders of epochs, so that every row is seen
    equally often, and a set smaller than a batch repeats in it. Depends on (seed, epoch).

    Raises
    ------
    DataError
        If a batch is more than a thousand times as large as the set.
    """

    def __init__(self, rows: NDArray[np.int64], batch_size: int, seed: int) -> None:
        _check_repeats(batch_size, batch_size, len(rows), "to train on")
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
        If the batch size is not a multiple of the number of classes, or a batch is more than a
        thousand times as large as the smallest class.
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
        _check_repeats(batch_size, self._share, int(self._sizes.min()), "of the smallest class")
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
