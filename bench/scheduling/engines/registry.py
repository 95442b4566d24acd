"""Engines by name: ours, and those that installed packages offer as entry points."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable

from bench.errors import UserError, did_you_mean
from bench.scheduling.engines.engine import Engine, EngineOptions

ENTRY_POINTS = "retable.engines"
BUILT_IN = {
    "local": "bench.scheduling.engines.local:local_engine",
    "inline": "bench.scheduling.engines.inline:inline_engine",
    "ray": "bench.scheduling.engines.ray:ray_engine",
}
# These are for whole runs: :mod:`bench.fleet`.
FLEETS = ("slurm",)
Make = Callable[[EngineOptions], Engine]


def make_engine(name: str, options: EngineOptions) -> Engine:
    """Return the engine of a name, importing only its module.

    An entry point of the group ``retable.engines`` names a function, or a class, from
    :class:`EngineOptions` to an :class:`Engine`.

    Raises
    ------
    UserError
        If there is no such engine, two packages offer it, or it cannot be imported or made.
    """
    if name in FLEETS:
        raise UserError(
            f"{name} starts runners, no cells: only `bench run` can use it",
            remedy="use --engine local",
        )
    try:
        make = _built_in(name) if name in BUILT_IN else _installed(name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the engine {name!r} cannot be imported: {error}",
            remedy="install the package that offers it again, or use --engine local",
        ) from error
    return make(options)


def _built_in(name: str) -> Make:
    module, _, function = BUILT_IN[name].partition(":")
    make: Make = getattr(importlib.import_module(module), function)
    return make


def _installed(name: str) -> Make:
    # Looking through all installed packages is slow: only for names not known otherwise. A
    # package seen twice on the path offers the same thing twice.
    found = {entry.value: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)
             if entry.name == name}  # fmt: skip
    if len(found) > 1:
        raise UserError(
            f"several installed packages offer an engine {name!r}: {', '.join(sorted(found))}",
            remedy="uninstall all but one",
        )
    if not found:
        raise UserError(f"no engine {name!r}", remedy=did_you_mean(name, engine_names()))
    make: Make = next(iter(found.values())).load()
    return make


def engine_names() -> list[str]:
    """Return the names of all engines."""
    installed = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return [*BUILT_IN, *FLEETS, *sorted({entry.name for entry in installed} - BUILT_IN.keys())]
