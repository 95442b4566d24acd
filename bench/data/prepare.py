"""One door to every dataset: prepared once into a memory map, opened in milliseconds after."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from bench.data.build import build
from bench.data.cache import CachePaths, make_folder, read_json
from bench.data.decode import decoder_versions
from bench.data.digests import remember
from bench.data.identity import known_entry, modality, source_identity
from bench.data.integrity import Damaged, intact_manifest
from bench.data.prepared import SPLITS, Prepared, Split
from bench.data.sources.source import ArraySource, Source
from bench.errors import DataError
from bench.records.code import code_digests, data_unit
from bench.spec.catalogue import DatasetEntry
from bench.spec.cell import Resources
from bench.spec.recipe import Image

__all__ = ["Prepared", "Split", "prepare"]

_log = logging.getLogger(__name__)
# Sets whose images have this side already need no image library.
_NATIVE = {"procedural": 64}


def prepare(
    name: str, image: Image | None, resources: Resources | None = None, cache: Path | None = None
) -> Prepared:
    """Return a dataset, its images decoded and resized, anything else as it is.

    The first call reads it, later ones open the cache. What the cache holds is compared with its
    digests, and made again where it is damaged, or was made by other code.

    Parameters
    ----------
    name
        In the catalogue, or a folder or file of arrays of ``resources``.
    image
        ``resize`` and ``fit`` say how images are stored; the rest does not matter here. None will
        do for data of any other modality, which it does not change.
    cache
        Folder of the cache; ``$RETABLE_CACHE`` or ``~/.cache/retable`` where not given.

    Raises
    ------
    SpecError
        If there is no dataset of that name.
    DataError
        If it cannot be had, is not what the catalogue says, or holds images and no size is given.
    """
    resources = resources or Resources()
    entry = known_entry(name, resources)
    identity = source_identity(name, resources)
    if modality(name, resources) != "images":
        image = None
    elif image is None:
        raise DataError(f"{name} holds images, and no size to store them in is given")
    making = {"code": _code(name, resources), **_decoding(entry, image)}
    paths = CachePaths.of(name, identity, cache, making)
    ready = _opened(name, paths)
    if ready is not None:
        return ready
    make_folder(paths.folder)
    with FileLock(paths.lock):
        ready = _opened(name, paths, tell=True)
        if ready is None:
            source = _source(name, entry, resources)
            _check(name, entry, source, every_class=name not in resources.lists)
            warnings = build(
                name, entry, source, image, paths,
                lambda: source_identity(name, resources) == identity,
            )  # fmt: skip
            for warning in warnings:
                _log.warning("%s", warning)
            ready = _opened(name, paths)
    if ready is None:
        raise DataError("the data cache was written but cannot be read", file=paths.folder)
    return ready


def _code(name: str, resources: Resources) -> str:
    """Return the digest of the code that makes a dataset's files."""
    unit = data_unit(name, resources, Path(__file__).with_name("build.py"))
    return code_digests([unit])[unit.name]


def _decoding(entry: DatasetEntry | None, image: Image | None) -> dict[str, Any]:
    """Return what the pixels, or the tokens of text, depend on beside the rows."""
    if entry is not None and entry.kind == "text":
        from bench.data.sources.text import tokenizer_versions

        return tokenizer_versions()
    if image is None:
        return {}
    how: dict[str, Any] = {"resize": image.resize, "fit": image.fit}
    native = entry is not None and _NATIVE.get(entry.kind) == image.resize
    return how if native else {**how, **decoder_versions()}


def _opened(name: str, paths: CachePaths, *, tell: bool = False) -> Prepared | None:
    """Open a finished cache; ``None`` where there is none or it is damaged, which may be told."""
    try:
        manifest = intact_manifest(paths)
    except Damaged as found:
        if tell:
            _log.warning("%s: is damaged; %s is prepared again", found.file, name)
        return None
    if manifest is None:
        return None
    if read_json(paths.source) is None:
        with contextlib.suppress(OSError):
            remember(paths, manifest["digest"], manifest["warnings"])
    kind = manifest["modality"]
    # Labels are read at every step; other targets may be as large as the inputs.
    targets_mode: Literal["r"] | None = None if kind == "images" else "r"
    splits = {
        split: Split(
            np.load(paths.inputs(split), mmap_mode="r", allow_pickle=False),
            np.load(paths.targets(split), mmap_mode=targets_mode, allow_pickle=False),
        )
        for split in SPLITS
    }
    return Prepared(
        name,
        kind,
        manifest["classes"],
        tuple(manifest["class_names"]),
        splits["train"],
        splits["test"],
        manifest["digest"],
        manifest["facts"],
    )


def _source(name: str, entry: DatasetEntry | None, resources: Resources) -> Source | ArraySource:
    if name in resources.folders:
        from bench.data.sources.own import own_images

        return own_images(name, resources)
    if name in resources.arrays:
        from bench.data.sources.arrays import array_source

        return array_source(*resources.arrays[name])
    assert entry is not None
    if entry.kind == "hub":
        from bench.data.sources.hub import hub_source

        return hub_source(entry)
    if entry.kind == "text":
        from bench.data.sources.text import text_source

        return text_source(entry)
    if entry.kind == "digits":
        from bench.data.sources.digits import digits_source

        return digits_source()
    if entry.kind == "procedural":
        from bench.data.sources.procedural import procedural_source

        return procedural_source(name)
    if entry.kind == "waymo":
        from bench.data.sources.waymo import waymo_source

        return waymo_source(entry)
    if entry.kind == "chexpert":
        from bench.data.sources.chexpert import chexpert_source

        return chexpert_source(entry)
    remedy = None
    if entry.kind == "folder":
        remedy = f"get it from {entry.source} and name its folder under `datasets:` in the suite"
    raise DataError(f"{name} cannot be loaded: {entry.reason}", remedy=remedy)


def _check(
    name: str, entry: DatasetEntry | None, source: Source | ArraySource, *, every_class: bool
) -> None:
    """Compare what was loaded with what the catalogue says.

    ``every_class``: each needs a training row, as it does where the splits are not lists.
    """
    remedy = "the catalogue describes other data than was found; see its entry's notes"
    classes, word = source.classes, "image" if isinstance(source, Source) else "row"
    if entry is not None and entry.classes not in (None, classes):
        raise DataError(f"{name} has {classes} classes, not {entry.classes}", remedy=remedy)
    for split, values in source.targets.items():
        rows = getattr(entry.rows, split) if entry is not None else None
        if rows not in (None, len(values)):
            raise DataError(f"{name} has {len(values)} {split} {word}s, not {rows}", remedy=remedy)
        if not len(values):
            raise DataError(f"{name} has no {split} {word}s", remedy=remedy)
    if classes is None or not every_class:
        return
    counts = np.bincount(source.targets["train"], minlength=classes)
    if not counts.all():
        empty = source.class_names[int(np.argmin(counts))]
        raise DataError(f"{name}: the class {empty} has no training {word}", remedy=remedy)
