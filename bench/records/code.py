"""Digests of the code that can change a cell's numbers, a unit at a time."""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.errors import SpecError
from bench.files import bytes_sha256
from bench.records.bare import bare
from bench.records.imports import Import, Tree, closure, module_imports, tree_of
from bench.spec import catalogue
from bench.spec.cell import Cell, Resources, Train
from bench.spec.parts import Kind, find_part

_PACKAGE = Path(__file__).parent.parent
# Settings are compared as values, not as the code that reads them; but the seeds are numbers.
_COUNTED = ("bench.data", "bench.models", "bench.parts", "bench.training", "bench.spec.seeds")
_BASES = {"train": "training/train_cell.py", "measure": "training/measure_cell.py"}


@dataclass(frozen=True)
class Unit:
    """A piece of code that some cells depend on: its name, and the files where it begins.

    It is these files and all of Retable's numeric code that they import at module level: what a
    function imports is a choice made by data, and then a unit of its own.
    """

    name: str
    files: tuple[Path, ...]


def units_of(cell: Cell, resources: Resources) -> tuple[Unit, ...]:
    """Return the units that a cell's numbers depend on.

    ``train`` or ``measure``; ``KIND:NAME`` for each part; ``data:SOURCE`` for each dataset's
    kind of source.

    Raises
    ------
    SpecError
        If a part or dataset is not known.
    """
    base = "train" if isinstance(cell.work, Train) else "measure"
    sources = dict.fromkeys(_source(name, resources) for name in cell.datasets)
    return (
        Unit(base, (_PACKAGE / _BASES[base],)),
        *(_part(kind, name, resources.plugins) for kind, name in cell.parts),
        *(_data(source) for source in sources),
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
    what is not Retable's own code. Each file is read once in a process.

    Raises
    ------
    SpecError
        If a file cannot be read or is not Python.
    """
    return {unit.name: _digest(unit) for unit in units}


def remember_imported() -> None:
    """Read the files of all modules imported so far.

    Digests taken later in this process, and in those forked from it, are then of the code that
    runs there, even if a file is edited meanwhile.
    """
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.is_relative_to(_PACKAGE) and file.suffix == ".py":
            _read(file)


@lru_cache(maxsize=1024)
def _digest(unit: Unit) -> str:
    files: dict[str, Path] = {}
    for file in unit.files:
        files |= closure(file, _trees(file), _imports)
    text = "".join(f"{name}\0{_read(files[name])[0]}\n" for name in sorted(files))
    return bytes_sha256(text.encode())


def _trees(file: Path) -> tuple[Tree, ...]:
    ours = Tree(_PACKAGE.parent, _COUNTED)
    return (ours,) if file.is_relative_to(_PACKAGE) else (tree_of(file), ours)


def _imports(file: Path) -> tuple[Import, ...]:
    return _read(file)[1]


@lru_cache(maxsize=1024)
def _read(file: Path) -> tuple[str, tuple[Import, ...]]:
    try:
        with tokenize.open(file) as opened:
            source = opened.read()
        tree = ast.parse(source)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=file) from None
    except (SyntaxError, ValueError) as error:
        raise SpecError(f"is not Python: {error}", file=file) from None
    return bytes_sha256(bare(source, tree).encode()), module_imports(tree)


@lru_cache(maxsize=1024)
def _part(kind: Kind, name: str, plugins: tuple[str, ...]) -> Unit:
    part = find_part(kind, name, plugins)
    if part is None:
        raise SpecError(f"the {kind} {name!r} is not known")
    return Unit(f"{kind}:{name}", (part.file.absolute(),))


def _source(dataset: str, resources: Resources) -> str:
    if dataset in resources.arrays:
        return "arrays"
    if dataset in resources.folders:
        return "folder"
    if dataset in resources.arrays:
        return "arrays"
    kind = catalogue.entry(dataset).kind
    return f"{kind}:{dataset}" if kind == "procedural" else kind


@lru_cache(maxsize=256)
def _data(source: str) -> Unit:
    kind, _, name = source.partition(":")
    # A procedural set's name begins with its generator's.
    generator = name.partition("-")[0]
    data = _PACKAGE / "data"
    files = (data / "sources" / f"{kind}.py", data / kind / f"{generator}.py")
    return Unit(f"data:{source}", tuple(file for file in files if file.is_file()))
