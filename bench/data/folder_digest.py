"""What a dataset holds now, told as cheaply as possible, to compare with what records saw."""

from __future__ import annotations

from pathlib import Path

from bench.data.digests import RowDigest, array_digest, cached_digest
from bench.errors import UserError
from bench.spec.cell import Resources


def dataset_digest(name: str, resources: Resources) -> str | None:
    """Return a dataset's digest; None where only loading it would tell.

    A folder or a file of the user's that changed since it was prepared (or never was) is read, but
    not decoded: a changed image must not pass for the old one.
    """
    known = cached_digest(name, resources)
    if known is not None:
        return known
    try:
        if name in resources.arrays:
            return _of_arrays(name, resources)
        return _of_folder(name, resources) if name in resources.folders else None
    except UserError:
        # Records can be shown where the data are not; a run says what is wrong with them.
        return None


def _of_arrays(name: str, resources: Resources) -> str:
    from bench.data.sources.arrays import array_source

    source = array_source(*resources.arrays[name])
    return array_digest(source.modality, source.splits)


def _of_folder(name: str, resources: Resources) -> str:
    from bench.data.sources.folder import folder_source

    source = folder_source(name, Path(resources.folders[name]))
    digest = RowDigest()
    for split, rows in (("train", source.train), ("test", source.test)):
        digest.start(split)
        for label, blob in zip(rows.labels.tolist(), rows.blobs(), strict=True):
            digest.add(label, blob.data)
    return digest.hexdigest()
