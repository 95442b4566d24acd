"""Python files that are read once in a process: the bytes digested are the bytes imported.

A file may be edited between its import and the reading for its digest, or Python may run bytecode
that it takes for the file's because time and size are the same. So the numeric code of Retable,
and what a plug-in brings, is imported from the same bytes in memory that its digest is taken of.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from bench.errors import SpecError

# Settings are compared as values, not as the code that reads them; but the seeds are numbers.
NUMERIC = (
    "bench.data", "bench.methods", "bench.models", "bench.parts", "bench.training",
    "bench.spec.seeds",
)  # fmt: skip
_contents: dict[str, bytes] = {}


def content(file: Path | str) -> bytes:
    """Return a file's bytes as this process, or the one it was forked from, first read them.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    place = os.path.abspath(file)
    if place not in _contents:
        _contents[place] = Path(place).read_bytes()
    return _contents[place]


class SourceLoader(SourceFileLoader):
    """Imports a module from :func:`content`, never from bytecode."""

    def get_data(self, path: str) -> bytes:
        """Return the module's text."""
        return content(path)

    def path_stats(self, path: str) -> Mapping[str, float]:
        """Refuse: without a file's time Python looks for no bytecode of it, and writes none."""
        raise OSError(f"{path} is imported from its text")


class _Finder:
    """Finds numeric modules, and those that :func:`offer` named."""

    def __init__(self) -> None:
        self.offered: dict[str, Path] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self.offered:
            return spec_of(name, self.offered[name])
        if not is_numeric(name):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = SourceLoader(name, spec.loader.path)
        return spec


_finder = _Finder()


def install() -> None:
    """Let all imports of numeric code that follow in this process be from :func:`content`."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def offer(modules: Mapping[str, Path]) -> None:
    """Let modules be imported by these names, each from the bytes of its file.

    Raises
    ------
    SpecError
        If a name already stands for another file: one of two would run in the other's place.
    """
    for name, file in modules.items():
        known = _finder.offered.get(name, file)
        if known != file:
            raise SpecError(
                f"a module {name} lies here and beside another part, {known}",
                file=file,
                remedy="give one of the two another name",
            )
    _finder.offered.update(modules)


def spec_of(name: str, file: Path) -> ModuleSpec:
    """Return how a module is imported from the bytes of its file."""
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        name, file, loader=SourceLoader(name, str(file)), submodule_search_locations=folder
    )
    assert spec is not None
    return spec


def is_numeric(module: str) -> bool:
    """Return whether a module is among Retable's that can change a cell's numbers."""
    return any(f"{module}.".startswith(f"{name}.") for name in NUMERIC)
