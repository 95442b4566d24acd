"""Can a dataset be had? Told without reading its rows."""

from __future__ import annotations

import os
from pathlib import Path

from bench.data.digests import cached_digest
from bench.data.identity import source_identity
from bench.errors import DataError, UserError
from bench.fetched import Fetched, fetched
from bench.spec.catalogue import DatasetEntry, entry
from bench.spec.cell import Resources

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


def data_problem(name: str, resources: Resources) -> UserError | None:
    """Return why a dataset cannot be had; None where it seems that it can.

    A folder or a file must be there. What is on the Hub must be in its cache where the network is
    switched off; whether it can be downloaded is not tried.
    """
    try:
        source_identity(name, resources)
    except UserError as error:
        return error
    if name in resources.datasets or cached_digest(name, resources) is not None:
        return None
    known = entry(name)
    if known.kind in ("folder", "unavailable"):
        remedy = None
        if known.kind == "folder":
            remedy = f"get it from {known.source} and name its folder under `datasets:`"
        return DataError(f"{name} cannot be loaded: {known.reason}", remedy=remedy)
    if known.hub is not None and _offline() and not _is_cached(known):
        revision = f" --revision {known.revision}" if known.revision else ""
        return DataError(
            f"{name} is not in the cache of the Hub, and the network is switched off",
            remedy="with a network, run `bench fetch SUITE` (docs/offline-nodes.md) or "
            f"hf download --repo-type dataset {known.hub}{revision}",
        )
    return None


def _offline() -> bool:
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)


def _is_cached(known: DatasetEntry) -> bool:
    """Whether a download, or what `datasets` made of one, is on the disk."""
    from huggingface_hub.constants import HF_HOME, HF_HUB_CACHE

    made = os.environ.get("HF_DATASETS_CACHE") or Path(HF_HOME) / "datasets"
    name = str(known.hub)
    brought = fetched(Path(HF_HUB_CACHE), "dataset", name, known.revision)
    # What a fetch has left in the middle is refused when it is loaded.
    whole = brought is None or brought.complete or _has_splits(brought, known)
    return (
        (whole and (Path(HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}").is_dir())
        or (Path(made) / name.replace("/", "___").lower()).is_dir()
        or (Path(made) / name.replace("/", "___")).is_dir()
    )


def _has_splits(brought: Fetched, known: DatasetEntry) -> bool:
    wanted = {*known.splits.train, *known.splits.test}
    return brought.files_of(known.config, wanted) is not None
