"""Which rows are trained on: per-class subsets, long tails, and held-out validation rows."""

from __future__ import annotations

import hashlib
from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.data.streams import Stream
from bench.errors import DataError
from bench.spec.seeds import stream_seed

Indices = NDArray[np.int64]


def share(fraction: float, count: int) -> int:
    """Return ceil(fraction * count), exact for the decimal that was written.

    >>> share(0.07, 100)
    7
    """
    exact = Decimal(repr(float(fraction))) * count
    return int(exact.to_integral_value(ROUND_CEILING))


def _class_orders(labels: NDArray[np.int64], seed: int) -> dict[int, Indices]:
    """Return for each class its rows in an order that depends on the seed and the class only."""
    # One word a row, drawn for all rows at once, would tie a class's order to the others' sizes.
    by_class = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[by_class], return_index=True)
    orders = {}
    for label, rows in zip(classes.tolist(), np.split(by_class, starts[1:]), strict=True):
        orders[label] = rows[Stream(seed, jump=label).permutation(len(rows))]
    return orders


def _strata(targets: ArrayLike) -> NDArray[np.int64]:
    """Return the classes; numbers that are to be predicted are all one stratum."""
    values = np.asarray(targets)
    return np.zeros(len(values), dtype=np.int64) if values.dtype.kind == "f" else values


def per_class_subset(labels: ArrayLike, rate: float, seed: int, dataset: str) -> Indices:
    """Return the rows kept at a sampling rate, sorted.

    Of each class with n images, ceil(rate * n) are kept, computed exactly on the decimal as
    written; the lists released with Chen et al. 2019 have these sizes (15% of 29 or 30 is 5).
    For one seed and dataset, the subset of a lower rate lies within that of a higher one.

    Parameters
    ----------
    labels
        ``(n,)`` class of each row, non-negative; or ``(n, …)`` floats to predict, which are
        drawn from as one class.
    rate
        In (0, 1].

    Raises
    ------
    ValueError
        If the rate is not in (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"the sampling rate must be in (0, 1], not {rate}")
    orders = _class_orders(_strata(labels), stream_seed(seed, "subset", dataset))
    kept = [rows[: share(rate, len(rows))] for rows in orders.values()]
    return np.sort(np.concatenate(kept)).astype(np.int64)


def long_tail(
    labels: ArrayLike, imbalance: float, rows: ArrayLike, seed: int, dataset: str
) -> Indices:
    """Return the rows kept of a long-tailed version of a set, sorted.

    Of class i of C, in the order of the labels, floor(n_max · μ^(i / (C − 1))) rows are kept, at
    least one and at most all of its own, where n_max is the largest class's count and
    μ = 1 / imbalance (Cui et al. 2019, section 5.1; Cao et al. 2019, whose code truncates so).
    For one seed and dataset, rows are kept in the order of `per_class_subset`: a longer tail lies
    within a shorter one.

    Parameters
    ----------
    labels
        ``(n,)`` class of each row of the whole training split.
    imbalance
        Largest over smallest class, at least 1.
    rows
        The subset to draw from, rows of ``labels``.

    Raises
    ------
    ValueError
        If the imbalance is below 1.
    DataError
        If the targets are no classes.
    """
    if not imbalance >= 1:
        raise ValueError(f"the imbalance must be at least 1, not {imbalance}")
    labels = np.asarray(labels)
    if labels.dtype.kind == "f":
        raise DataError(
            f"{dataset} has no classes to make a long tail of: its targets are numbers",
            remedy="leave long_tail out",
        )
    member = np.zeros(len(labels), dtype=bool)
    member[np.asarray(rows, dtype=np.int64)] = True
    orders = _class_orders(labels, stream_seed(seed, "subset", dataset))
    mine = [order[member[order]] for order in orders.values()]
    counts = _tail_counts(max(map(len, mine)), imbalance, len(mine))
    kept = [order[:count] for order, count in zip(mine, counts, strict=True)]
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _tail_counts(largest: int, imbalance: float, classes: int) -> list[int]:
    last = max(1, classes - 1)
    exact = [largest / imbalance ** (place / last) for place in range(classes)]
    # A count that is whole must not fall below itself by rounding.
    return [max(1, int(count * (1 + 1e-12))) for count in exact]


def of_classes(
    labels: ArrayLike, classes: tuple[int, int], rows: ArrayLike, dataset: str
) -> Indices:
    """Return those of ``rows`` whose class is from the first up to but without the second.

    Parameters
    ----------
    labels
        ``(n,)`` class of each row of the whole training split.
    rows
        The subset, rows of ``labels``; its order is kept.

    Raises
    ------
    DataError
        If the targets are no classes, or there are fewer.
    """
    labels, rows = np.asarray(labels), np.asarray(rows, dtype=np.int64)
    first, stop = classes
    known = 0 if labels.dtype.kind == "f" else int(labels.max()) + 1
    if stop > known:
        has = f"has {known} classes" if known else "has numbers as targets and no classes"
        raise DataError(
            f"{dataset} {has}, and those from {first} up to {stop} are to be trained on",
            field="task.train_classes",
            remedy=f"end at {known} or before" if known else "leave train_classes out",
        )
    mine = labels[rows]
    kept: Indices = rows[(mine >= first) & (mine < stop)]
    return kept


def holdout(
    labels: ArrayLike, indices: ArrayLike, fraction: float, seed: int, dataset: str
) -> tuple[Indices, Indices]:
    """Split a subset into rows to train on and rows to validate on, both sorted.

    Of each class with n rows in the subset, min(ceil(fraction * n), n - 1) are held out (or
    min(fraction, n - 1), where it is a number of rows), so that every class keeps one to
    train on; float targets are all one class. Each class's rows are held out in one order for
    all fractions and subsets, so that larger fractions contain smaller ones.

    Parameters
    ----------
    labels
        ``(n,)`` class of each row of the whole training split, or ``(n, …)`` floats.
    indices
        The subset, rows of ``labels``.
    fraction
        In [0, 1), 0 holding out nothing; or a whole number of rows of each class.

    Raises
    ------
    DataError
        If a fraction above 0 leaves nothing to validate on.
    """
    labels, indices = _strata(labels), np.sort(np.asarray(indices, dtype=np.int64))
    if fraction == 0:
        return indices, indices[:0]
    member = np.zeros(len(labels), dtype=bool)
    member[indices] = True
    held = []
    for rows in _class_orders(labels, stream_seed(seed, "validation", dataset)).values():
        rows = rows[member[rows]]
        wanted = int(fraction) if fraction >= 1 else share(fraction, len(rows))
        held.append(rows[: max(0, min(wanted, len(rows) - 1))])
    validation = np.sort(np.concatenate(held)).astype(np.int64)
    if not len(validation):
        raise DataError(
            f"nothing of {dataset} can be held out for validation: no class has two rows",
            remedy="raise the sampling rate, or set validation: 0 with selection: last",
        )
    return np.setdiff1d(indices, validation), validation


def subset_digest(dataset_digest: str, indices: ArrayLike) -> str:
    """Return the SHA-256 of a dataset's digest and the rows taken, in the order given."""
    rows = np.asarray(indices).astype("<i8").tobytes()
    return hashlib.sha256(dataset_digest.encode() + b"\x1f" + rows).hexdigest()
