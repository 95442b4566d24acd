"""What is read of a dataset on the Hugging Face Hub, whatever its rows hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets.info import DatasetInfosDict
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from numpy.typing import NDArray

from bench.errors import DataError
from bench.fetched import Fetched, fetched
from bench.spec.catalogue import DatasetEntry

_SHA = re.compile(r"[0-9a-f]{40}")


def fetch_command(entry: DatasetEntry) -> str:
    """Return the command that downloads a dataset."""
    revision = f" --revision {entry.revision}" if entry.revision else ""
    return f"hf download --repo-type dataset {entry.hub}{revision}"


def _unreachable(entry: DatasetEntry, why: str) -> DataError:
    terms = f"accept the terms at {entry.terms}, run `hf auth login`, then " if entry.gated else ""
    return DataError(
        f"{entry.name} ({entry.hub}) cannot be had: {why}",
        remedy=f"{terms}fetch it where there is a network, with `bench fetch SUITE` or "
        f"`{fetch_command(entry)}`, and set HF_HOME to the folder that holds it",
    )


def load(entry: DatasetEntry) -> tuple[datasets.DatasetDict, str | None]:
    """Return all splits and the commit they are of, from the Hub or what is on disk.

    Raises
    ------
    DataError
        If they cannot be had, or only those of another commit can.
    """
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
    """Load what a download left on the disk; ``load_dataset`` alone would not look there."""
    known = fetched(Path(constants.HF_HUB_CACHE), "dataset", str(entry.hub), entry.revision)
    files = known.files_of(entry.config, _splits(entry)) if known is not None else None
    wanted = [path for paths in files.values() for path in paths] if files is not None else None
    try:
        folder = snapshot_download(
            str(entry.hub),
            repo_type="dataset",
            revision=entry.revision,
            local_files_only=True,
            allow_patterns=wanted,
        )
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None
    if known is not None and files is None and not known.complete:
        # Of the shards of a split some may be there: they would load as if they were all.
        raise _unreachable(entry, "a fetch of it was begun, and has not ended")
    try:
        if known is None or files is None:
            loaded = datasets.load_dataset(folder, entry.config)
        else:
            loaded = _fetched_splits(entry, known, Path(folder), files)
    except DataError:
        raise
    except Exception as error:
        raise _unreachable(entry, f"{folder} is not whole ({_reason(error)})") from error
    return loaded, entry.revision or Path(folder).name


def _splits(entry: DatasetEntry) -> tuple[str, ...]:
    """Return the Hub splits that an entry takes."""
    return tuple(dict.fromkeys((*entry.splits.train, *entry.splits.test)))


def _fetched_splits(
    entry: DatasetEntry, known: Fetched, folder: Path, files: dict[str, list[str]]
) -> datasets.DatasetDict:
    """Load some splits of a snapshot that holds no others, as they would be beside the others."""
    paths = [path for of_split in files.values() for path in of_split]
    problem = known.problem(folder, [*known.beside_splits(), *paths])
    if problem is not None:
        raise _unreachable(entry, problem)
    # Where files are named, `load_dataset` takes neither the columns nor the rows of the card.
    card = DatasetInfosDict.from_directory(str(folder))
    about = card.get(entry.config or "default")
    if about is None and entry.config is None and len(card) == 1:
        about = next(iter(card.values()))
    features = about.features if about is not None else None
    loaded = datasets.load_dataset(str(folder), entry.config, data_files=files, features=features)
    for split, rows in loaded.items():
        stated = ((about.splits if about is not None else None) or {}).get(split)
        if stated is not None and stated.num_examples not in (None, len(rows)):
            raise _unreachable(
                entry, f"its split {split} has {len(rows)} rows, not {stated.num_examples}"
            )
    return loaded


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


def joined(
    entry: DatasetEntry,
    loaded: datasets.DatasetDict,
    splits: tuple[str, ...],
    columns: Sequence[str],
    holds: tuple[str, Callable[[Any], bool]],
) -> datasets.Dataset:
    """Return the rows to keep of some splits, one split after the other.

    Parameters
    ----------
    columns
        What is wanted of them, beside the label.
    holds
        What these columns must hold: a word for it, and whether a column's feature says so.

    Raises
    ------
    DataError
        If a split or a column is not there, or a column holds something else.
    """
    what, does = holds
    absent = [split for split in splits if split not in loaded]
    if absent:
        raise _differs(entry, f"has no split {', '.join(absent)}", list(loaded))
    needed = [*columns, entry.label] + ([entry.keep.column] if entry.keep else [])
    for split in splits:
        for column in needed:
            if column not in loaded[split].column_names:
                raise _differs(entry, f"has no column {column!r}", loaded[split].column_names)
        for column in columns:
            if not does(loaded[split].features[column]):
                found = loaded[split].column_names
                raise _differs(entry, f"column {column!r} does not hold {what}", found)
    rows = datasets.concatenate_datasets([loaded[split].select_columns(needed) for split in splits])
    wanted = np.ones(len(rows), dtype=bool)
    if entry.keep:
        wanted &= values(rows, entry.keep.column) == entry.keep.value
    if entry.drop_labels:
        wanted &= ~np.isin(values(rows, entry.label), entry.drop_labels)
    return rows if wanted.all() else rows.select(np.flatnonzero(wanted))


def _differs(entry: DatasetEntry, what: str, found: list[str]) -> DataError:
    return DataError(
        f"{entry.name} ({entry.hub}) {what}; it has {', '.join(found)}",
        remedy="the catalogue's entry describes another version of it; compare the revisions",
    )


def values(rows: datasets.Dataset, column: str) -> NDArray[Any]:
    """Return a column as an array, without reading the others."""
    table = rows.select_columns([column]).with_format("arrow")[:]
    return np.asarray(table[column].to_pylist())


def classes_of(
    entry: DatasetEntry, rows: datasets.Dataset
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Return the class names, and each label's class."""
    feature = rows.features[entry.label]
    if isinstance(feature, datasets.ClassLabel):
        found: list[Any] = [k for k in range(len(feature.names)) if k not in entry.drop_labels]
        names = tuple(feature.names[k] for k in found)
    else:
        found = sorted(set(values(rows, entry.label).tolist()))
        names = tuple(map(str, found))
    return names, {value: place for place, value in enumerate(found)}


def coded(entry: DatasetEntry, codes: dict[Any, int], labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the classes of labels; DataError for one that is no class."""
    try:
        return np.array([codes[value] for value in labels.tolist()], dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{entry.name} ({entry.hub}) has the label {error.args[0]!r}, which is no class",
            remedy="a split without public labels cannot be used",
        ) from None
