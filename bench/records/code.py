"""Digests of the code that can change a cell's numbers, a unit at a time."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import sources
from bench.errors import SpecError
from bench.files import bytes_sha256
from bench.once import once
from bench.records.bare import bare
from bench.records.imports import Import, Tree, closure, module_imports, tree_of
from bench.spec import catalogue
from bench.spec.cell import Cell, Resources
from bench.spec.parts import Kind, built_in_parts, find_part

_PACKAGE = Path(__file__).parent.parent
_BASES = {
    "train": "training/train_cell.py",
    "measure": "training/measure_cell.py",
    "trial": "training/trial_cell.py",
    "choose": "training/choose_cell.py",
    "tuned": "training/tuned_cell.py",
}


@dataclass(frozen=True)
class Unit:
    """A piece of code that some cells depend on: its name, and the files where it begins.

    It is these files and all of Retable's numeric code that they import at module level: what a
    function of ours imports is a choice made by data, and then a unit of its own. Of a user's
    file it is all that it imports from beside it, at whatever time.
    """

    name: str
    files: tuple[Path, ...]


def units_of(cell: Cell, resources: Resources) -> tuple[Unit, ...]:
    """Return the units that a cell's numbers depend on.

    What does its kind of work (``train``, ``measure``, …); ``KIND:NAME`` for each part;
    ``data:SOURCE`` for each dataset's kind of source.

    Raises
    ------
    SpecError
        If a part or dataset is not known.
    """
    base = cell.work.key
    kinds = dict.fromkeys(_source(name, resources) for name in cell.datasets)
    return (
        Unit(base, (_PACKAGE / _BASES[base],)),
        *(_part(kind, name, resources.plugins) for kind, name in cell.parts),
        *(_data(kind) for kind in kinds),
    )


def data_unit(dataset: str, resources: Resources, *more: Path) -> Unit:
    """Return the unit of a dataset's kind of source, with other files where it begins too.

    Raises
    ------
    SpecError
        If the dataset is not known.
    """
    unit = _data(_source(dataset, resources))
    return Unit(unit.name, (*unit.files, *more))


def code_digests(units: Iterable[Unit]) -> dict[str, str]:
    """Return the digest of each unit's code by the unit's name.

    Comments, docstrings, blank lines and line endings do not count, nor do a plug-in's place and
    what is not Retable's own code. Each file is read once in a process, and imported as it was
    read then: the digests are of the code that runs.

    Raises
    ------
    SpecError
        If a file cannot be read or is not Python.
    """
    return {unit.name: _digest(unit) for unit in units}


def read_ahead() -> None:
    """Read the code that all cells depend on, so that what this process forks need not."""
    built_in_parts()
    code_digests(Unit(base, (_PACKAGE / file,)) for base, file in _BASES.items())


def files_of(units: Iterable[Unit]) -> frozenset[Path]:
    """Return all files that the units' digests are of; raises as ``code_digests`` does."""
    return frozenset(file for unit in units for file in _files(unit).values())


def modules_beside(file: Path) -> dict[str, Path]:
    """Return what a user's file imports from beside it, itself left out: dotted name to file."""
    found = closure(file, _trees(file), _imports)
    return {name: f for name, f in found.items() if f != file and not is_ours(f)}


def is_ours(file: Path) -> bool:
    """Return whether a file is in Retable's own package."""
    return file.is_relative_to(_PACKAGE)


@once(1024)
def _files(unit: Unit) -> Mapping[str, Path]:
    files: dict[str, Path] = {}
    for file in unit.files:
        files |= closure(file, _trees(file), _imports)
    return files


@once(1024)
def _digest(unit: Unit) -> str:
    files = _files(unit)
    text = "".join(f"{name}\0{_read(files[name])[0]}\n" for name in sorted(files))
    return bytes_sha256(text.encode())


def _trees(file: Path) -> tuple[Tree, ...]:
    ours = Tree(_PACKAGE.parent, sources.NUMERIC)
    return (ours,) if is_ours(file) else (tree_of(file), ours)


def _imports(file: Path) -> tuple[Import, ...]:
    return _read(file)[1]


@once(1024)
def _read(file: Path) -> tuple[str, tuple[Import, ...]]:
    try:
        source = importlib.util.decode_source(sources.content(file))
        tree = ast.parse(source)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=file) from None
    except (SyntaxError, ValueError) as error:
        raise SpecError(f"is not Python: {error}", file=file) from None
    return bytes_sha256(bare(source, tree).encode()), module_imports(
        tree, deferred=not is_ours(file)
    )


@once(1024)
def _part(kind: Kind, name: str, plugins: tuple[str, ...]) -> Unit:
    part = find_part(kind, name, plugins)
    if part is None:
        raise SpecError(f"the {kind} {name!r} is not known")
    return Unit(f"{kind}:{name}", (part.file.absolute(),))


def _source(dataset: str, resources: Resources) -> str:
    if dataset in resources.arrays:
        return "arrays"
    if dataset in resources.folders:
        return "listed" if dataset in resources.lists else "folder"
    kind = catalogue.entry(dataset).kind
    return f"{kind}:{dataset}" if kind == "procedural" else kind


@once(256)
def _data(source: str) -> Unit:
    kind, _, name = source.partition(":")
    # A procedural set's name begins with its generator's.
    generator = name.partition("-")[0]
    data = _PACKAGE / "data"
    files = (data / "sources" / f"{kind}.py", data / kind / f"{generator}.py")
    return Unit(f"data:{source}", tuple(file for file in files if file.is_file()))
