"""Image datasets on the Hugging Face Hub, at a pinned revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from numpy.typing import NDArray

from bench.data.decode import decode_file
from bench.data.draw import drawn_order
from bench.data.sources.source import Blob, Source, SourceSplit
from bench.data.subset import per_class_subset
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry

_SHA = re.compile(r"[0-9a-f]{40}")
_READ = 256


def hub_source(entry: DatasetEntry) -> Source:
    """Return the rows of a Hub dataset.

    Raises
    ------
    DataError
        If it cannot be had, or its columns, splits or labels are not what the entry says.
    """
    loaded, revision = _load(entry)
    train = _joined(entry, loaded, entry.splits.train)
    test = _joined(entry, loaded, entry.splits.test) if entry.splits.test else None
    names, codes = _classes(entry, train if test is None else _both(train, test))
    train_labels = _coded(entry, codes, _values(train, entry.label))
    if test is None:
        # One fixed rule for sets without an official split; `per_class_subset` is stratified.
        fraction = entry.test_fraction or 0.0
        held = per_class_subset(train_labels, fraction, 0, entry.name)
        kept = np.setdiff1d(np.arange(len(train_labels)), held)
        train, test = train.select(kept), train.select(held)
        train_labels, test_labels = train_labels[kept], train_labels[held]
    else:
        test_labels = _coded(entry, codes, _values(test, entry.label))
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


def _fetch_command(entry: DatasetEntry) -> str:
    revision = f" --revision {entry.revision}" if entry.revision else ""
    return f"hf download --repo-type dataset {entry.hub}{revision}"


def _unreachable(entry: DatasetEntry, why: str) -> DataError:
    terms = f"accept the terms at {entry.terms}, run `hf auth login`, then " if entry.gated else ""
    return DataError(
        f"{entry.name} ({entry.hub}) cannot be had: {why}",
        remedy=f"{terms}fetch it where there is a network with `{_fetch_command(entry)}`, "
        "and set HF_HOME to the folder that holds it",
    )


def _load(entry: DatasetEntry) -> tuple[datasets.DatasetDict, str | None]:
    """Return all splits and the commit they are of, from the Hub or what is on disk."""
    try:
        loaded = datasets.load_dataset(entry.hub, entry.config, revision=entry.revision)
    except Exception as error:
        snapshot = _snapshot(entry)
        if snapshot is None:
            raise _unreachable(entry, _reason(error)) from error
        return snapshot
    revision = _cached_revision(loaded)
    if entry.revision and revision and revision != entry.revision:
        # Without a network `load_dataset` takes the latest cached revision, whatever was asked.
        snapshot = _snapshot(entry)
        if snapshot is None:
            raise _unreachable(
                entry, f"only revision {revision[:12]} is here, not {entry.revision[:12]}"
            )
        return snapshot
    return loaded, revision or entry.revision


def _snapshot(entry: DatasetEntry) -> tuple[datasets.DatasetDict, str | None] | None:
    """Load what ``hf download`` left on the disk; ``load_dataset`` alone would not look there."""
    try:
        folder = snapshot_download(
            str(entry.hub), repo_type="dataset", revision=entry.revision, local_files_only=True
        )
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None
    try:
        loaded = datasets.load_dataset(folder, entry.config)
    except Exception as error:
        raise _unreachable(entry, f"{folder} is not whole ({_reason(error)})") from error
    return loaded, entry.revision or Path(folder).name


def _cached_revision(loaded: datasets.DatasetDict) -> str | None:
    """Return the commit in the path of the cached Arrow files."""
    for split in loaded.values():
        for file in split.cache_files:
            parent = Path(file["filename"]).parent.name
            if _SHA.fullmatch(parent):
                return parent
    return None


def _reason(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, ConnectionError):
        return f"no network, and it is not in the local cache ({first})"
    return first


def _joined(
    entry: DatasetEntry, loaded: datasets.DatasetDict, splits: tuple[str, ...]
) -> datasets.Dataset:
    """Return the rows of some Hub splits, one after the other, those to keep."""
    absent = [split for split in splits if split not in loaded]
    if absent:
        raise _differs(entry, f"has no split {', '.join(absent)}", list(loaded))
    needed = [entry.image, entry.label] + ([entry.keep.column] if entry.keep else [])
    for split in splits:
        for column in needed:
            if column not in loaded[split].column_names:
                raise _differs(entry, f"has no column {column!r}", loaded[split].column_names)
        if not isinstance(loaded[split].features[entry.image], datasets.Image):
            what = f"column {entry.image!r} does not hold images"
            raise _differs(entry, what, loaded[split].column_names)
    rows = datasets.concatenate_datasets([loaded[split].select_columns(needed) for split in splits])
    wanted = np.ones(len(rows), dtype=bool)
    if entry.keep:
        wanted &= _values(rows, entry.keep.column) == entry.keep.value
    if entry.drop_labels:
        wanted &= ~np.isin(_values(rows, entry.label), entry.drop_labels)
    rows = rows.cast_column(entry.image, datasets.Image(decode=False))
    return rows if wanted.all() else rows.select(np.flatnonzero(wanted))


def _differs(entry: DatasetEntry, what: str, found: list[str]) -> DataError:
    return DataError(
        f"{entry.name} ({entry.hub}) {what}; it has {', '.join(found)}",
        remedy="the catalogue's entry describes another version of it; compare the revisions",
    )


def _both(train: datasets.Dataset, test: datasets.Dataset) -> datasets.Dataset:
    return datasets.concatenate_datasets([train, test])


def _values(rows: datasets.Dataset, column: str) -> NDArray[Any]:
    """Return a column as an array, without reading the images."""
    table = rows.select_columns([column]).with_format("arrow")[:]
    return np.asarray(table[column].to_pylist())


def _classes(entry: DatasetEntry, rows: datasets.Dataset) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Return the class names, and each label's class."""
    feature = rows.features[entry.label]
    if isinstance(feature, datasets.ClassLabel):
        found: list[Any] = [k for k in range(len(feature.names)) if k not in entry.drop_labels]
        names = tuple(feature.names[k] for k in found)
    else:
        found = sorted(set(_values(rows, entry.label).tolist()))
        names = tuple(map(str, found))
    return names, {value: place for place, value in enumerate(found)}


def _coded(entry: DatasetEntry, codes: dict[Any, int], values: NDArray[Any]) -> NDArray[np.int64]:
    try:
        return np.array([codes[value] for value in values.tolist()], dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{entry.name} ({entry.hub}) has the label {error.args[0]!r}, which is no class",
            remedy="a split without public labels cannot be used",
        ) from None


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
                raise DataError(f"{where} holds no image", remedy=_fetch_command(entry))
            yield Blob(data, where)
