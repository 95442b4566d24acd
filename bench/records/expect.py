"""What records made now would say of their origin, found without loading data or models."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.errors import SpecError, WeightsError
from bench.files import file_sha256, write_whole
from bench.records.code import code_digests, units_of
from bench.records.freshness import Expectations
from bench.spec.cell import Cell, Resources
from bench.spec.layers import SHIPPED

# Those that a record names beside Python and Retable, whose code has digests of its own.
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow")


def expectations(
    cells: Iterable[Cell],
    resources: Resources,
    dataset_digest: Callable[[str], str | None] = lambda name: None,
    *,
    cache: Path | None = None,
    fractions: frozenset[str] = frozenset(),
    versions: Mapping[str, str] | None = None,
) -> Expectations:
    """Return what the cells' records should say.

    Parameters
    ----------
    dataset_digest
        Dataset's name to the digest of all its splits; None where only loading would tell.
    cache
        File that remembers the digests of weights files by path, size and time.
    fractions, versions
        As :class:`~bench.records.freshness.Expectations` has them.

    Raises
    ------
    SpecError
        If a part or dataset is not known.
    WeightsError
        If a weights file cannot be read.
    """
    cells = list(cells)
    # Cells that differ in their seed share their work.
    works = {cell.work: cell for cell in cells}
    units = {work: units_of(cell, resources) for work, cell in works.items()}
    names = {work: tuple(unit.name for unit in used) for work, used in units.items()}
    files = _DigestCache(cache)
    named = {weights for cell in works.values() for weights in cell.weights}
    weights = {name: _weights_digest(name, resources, files) for name in named}
    files.save()
    return Expectations(
        code=code_digests(dict.fromkeys(unit for used in units.values() for unit in used)),
        units={cell.id: names[cell.work] for cell in cells},
        data={
            name: dataset_digest(name) for name in {n for c in works.values() for n in c.datasets}
        },
        weights=weights,
        fractions=fractions,
        versions=versions or {},
    )


def joined(suites: Mapping[str, Expectations]) -> Expectations:
    """Return what the cells of several suites' records should say, by the suite's name.

    Raises
    ------
    SpecError
        If a part, dataset or weights file of one suite is another than that of its name in
        another suite.
    """
    found: dict[str, dict[str, Any]] = {"code": {}, "data": {}, "weights": {}}
    owner: dict[tuple[str, str], str] = {}
    for suite, expected in suites.items():
        for of, known in found.items():
            for name, digest in getattr(expected, of).items():
                first = owner.setdefault((of, name), suite)
                if known.setdefault(name, digest) != digest:
                    raise SpecError(
                        f"{_NOUNS.get(of, '')}{name} of {suite} is another than that of {first}",
                        remedy="give one of them another name, or run them one after the other",
                    )
    several = list(suites.values())
    return Expectations(
        **found,
        units={cell: units for each in several for cell, units in each.units.items()},
        fractions=frozenset().union(*(each.fractions for each in several)),
        versions=several[0].versions if several else {},
    )


# A unit of code says itself what it is.
_NOUNS = {"data": "dataset ", "weights": "weights "}


def versions_here() -> dict[str, str]:
    """Return the versions of the installed libraries that records name, importing none of them."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def _weights_digest(weights: str, resources: Resources, files: _DigestCache) -> str | None:
    source, _, name = weights.partition(":")
    if source == "shipped":
        return shipped_digest(name)
    if source == "file" and name in resources.files:
        path = resources.files[name][0]
        try:
            return files.digest(path)
        except OSError as error:
            raise WeightsError(
                f"the weights {name!r} cannot be read: {error.strerror or error}", file=path
            ) from None
    return None


def shipped_digest(name: str) -> str | None:
    """Return the SHA-256 that the package states for its weights; None if it ships none such."""
    path = SHIPPED / f"{name}.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, OSError) as error:
        raise WeightsError(
            f"the description of the shipped weights cannot be read: {error}",
            file=path,
            remedy="install the package again",
        ) from None


class _DigestCache:
    """Digests of files, read again only when size or time changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        self._changed = False
        if path is not None and path.exists():
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}
            except (ValueError, OSError):
                # It is a cache: what cannot be read is made again.
                self._known = {}

    def digest(self, path: str) -> str:
        stat = os.stat(path)
        version = [stat.st_size, stat.st_mtime_ns]
        entry = self._known.get(path)
        if isinstance(entry, list) and len(entry) == 3 and entry[:2] == version:
            return str(entry[2])
        digest = file_sha256(path)
        self._known[path] = [*version, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        if self._path is None or not self._changed:
            return
        text = json.dumps(self._known, indent=1, sort_keys=True)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, text)
        except OSError:
            # A read-only home only costs time.
            return
