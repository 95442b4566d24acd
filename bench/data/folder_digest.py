"""What a dataset holds now, told as cheaply as possible, to compare with what records saw."""

from __future__ import annotations

import contextlib

from bench.data.cache import CachePaths
from bench.data.digests import RowDigest, array_digest, cached_digest, remember
from bench.data.identity import source_identity
from bench.data.overlap import Overlap
from bench.errors import UserError
from bench.spec.cell import Resources


def dataset_digest(name: str, resources: Resources) -> str | None:
    """Return a dataset's digest; None where only loading it would tell.

    A folder or a file of the user's that changed since it was read (or never was) is read, but not
    decoded: a changed image must not pass for the old one.
    """
    known = cached_digest(name, resources)
    if known is not None or name not in resources.datasets:
        return known
    overlap = Overlap()
    try:
        before = source_identity(name, resources)
        found = (
            _of_arrays(name, resources)
            if name in resources.arrays
            else _of_folder(name, resources, overlap)
        )
        if source_identity(name, resources) != before:
            return found
    except UserError:
        # Records can be shown where the data are not; a run says what is wrong with them.
        return None
    paths = CachePaths.of(name, before)
    # Where the cache cannot be written, the rows are read each time.
    with contextlib.suppress(OSError):
        paths.rows.mkdir(parents=True, exist_ok=True)
        remember(paths, found, overlap.warnings(name))
    return found


def _of_arrays(name: str, resources: Resources) -> str:
    from bench.data.sources.arrays import array_source

    source = array_source(*resources.arrays[name])
    return array_digest(source.modality, source.splits)


def _of_folder(name: str, resources: Resources, overlap: Overlap) -> str:
    from bench.data.sources.own import own_images

    source = own_images(name, resources)
    digest = RowDigest()
    for split, rows in (("train", source.train), ("test", source.test)):
        digest.start(split)
        for target, blob in zip(rows.targets, rows.blobs(), strict=True):
            digest.add(target, blob.data)
            overlap.add(split, blob)
    return digest.hexdigest()
