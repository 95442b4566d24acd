"""Image datasets on the Hugging Face Hub, at a pinned revision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
from numpy.typing import NDArray

from bench.data.decode import decode_file
from bench.data.draw import drawn_order
from bench.data.sources.hub_rows import (
    classes_of,
    coded,
    fetch_command,
    joined,
    load,
    values,
)
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.data.subset import per_class_subset
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry

_READ = 256


def hub_source(entry: DatasetEntry) -> Source:
    """Return the rows of a Hub dataset.

    Raises
    ------
    DataError
        If it cannot be had, or its columns, splits or labels are not what the entry says.
    """
    loaded, revision = load(entry)
    train = _joined(entry, loaded, entry.splits.train)
    test = _joined(entry, loaded, entry.splits.test) if entry.splits.test else None
    names, codes = classes_of(entry, train if test is None else _both(train, test))
    train_labels = coded(entry, codes, values(train, entry.label))
    if test is None:
        # One fixed rule for sets without an official split; `per_class_subset` is stratified.
        fraction = entry.test_fraction or 0.0
        held = per_class_subset(train_labels, fraction, 0, entry.name)
        kept = np.setdiff1d(np.arange(len(train_labels)), held)
        train, test = train.select(kept), train.select(held)
        train_labels, test_labels = train_labels[kept], train_labels[held]
    else:
        test_labels = coded(entry, codes, values(test, entry.label))
    train, train_labels = _drawn(entry, train, train_labels)
    test, test_labels = _drawn(entry, test, test_labels)
    facts = {"hub": entry.hub, "revision": revision, "config": entry.config}
    facts["datasets"] = datasets.__version__
    return Source(
        class_names=names,
        train=SourceSplit(train_labels, lambda: _blobs(entry, train, "train")),
        test=SourceSplit(test_labels, lambda: _blobs(entry, test, "test")),
        decode=decode_file,
        facts={key: value for key, value in facts.items() if value is not None},
    )


def _joined(
    entry: DatasetEntry, loaded: datasets.DatasetDict, splits: tuple[str, ...]
) -> datasets.Dataset:
    """Return the rows of some Hub splits that are to be kept, their images as bytes."""
    images = ("images", lambda feature: isinstance(feature, datasets.Image))
    rows = joined(entry, loaded, splits, [entry.image], images)
    return rows.cast_column(entry.image, datasets.Image(decode=False))


def _both(train: datasets.Dataset, test: datasets.Dataset) -> datasets.Dataset:
    return datasets.concatenate_datasets([train, test])


def _drawn(
    entry: DatasetEntry, rows: datasets.Dataset, labels: NDArray[np.int64]
) -> tuple[datasets.Dataset, NDArray[np.int64]]:
    """Return the rows that the entry draws, in their own order; all where it draws none."""
    if entry.draw is None or len(rows) <= entry.draw.rows:
        return rows, labels
    kept = np.sort(drawn_order(len(rows), entry.draw)[: entry.draw.rows])
    return rows.select(kept), labels[kept]


def _blobs(entry: DatasetEntry, rows: datasets.Dataset, split: str) -> Iterator[Blob]:
    """Read the images' bytes in order."""
    images = rows.select_columns([entry.image]).with_format("arrow")
    row = 0
    for table in images.iter(batch_size=_READ):
        for item in table[entry.image].to_pylist():
            where = f"{entry.name}, {split} row {row}"
            row += 1
            data = item and item["bytes"]
            if not data and item and item["path"] and Path(item["path"]).is_file():
                data = Path(item["path"]).read_bytes()
            if not data:
                raise DataError(f"{where} holds no image", remedy=fetch_command(entry))
            yield Blob(data, where)
