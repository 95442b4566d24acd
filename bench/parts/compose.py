"""From a cell's method to its penalties: built-in, from a plug-in file, or from a package."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from bench.errors import SpecError, did_you_mean
from bench.methods.part import REGISTRY, Penalty
from bench.spec.cell import Method
from bench.spec.parts import ENTRY_POINTS, built_in_parts, part_names, read_parts

_PLUGIN = "retable_plugin_"


def load_penalties(method: Method, plugins: Sequence[str] = ()) -> dict[str, Penalty]:
    """Return a method's penalties with their parameters, by name, in alphabetical order.

    The order is fixed because a sum of floats depends on it, and a cell's id does not.

    Raises
    ------
    SpecError
        If a name is unknown, a plug-in cannot be imported, or a parameter is not valid.
    """
    penalties = {}
    for name in sorted(method.penalties):
        try:
            penalties[name] = penalty_class(name, plugins)(**method.penalties[name])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join([name, *map(str, first["loc"])])
            raise SpecError(first["msg"], field=where) from error
    return penalties


def penalty_class(name: str, plugins: Sequence[str] = ()) -> type[Penalty]:
    """Return the class of a penalty, importing only the file that it is in.

    Raises
    ------
    SpecError
        If no built-in, plug-in file or installed package has a penalty of that name.
    """
    built_in = built_in_parts()
    if name in built_in:
        importlib.import_module(f"bench.methods.penalties.{built_in[name].file.stem}")
        return REGISTRY[name]
    offered = {part.name: plugin for plugin in plugins for part in read_parts(Path(plugin))}
    if name in offered:
        return _plugin_classes(offered[name])[name]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        return _checked(entry.load(), name, entry.value)
    raise SpecError(
        f"there is no penalty {name!r}",
        remedy=did_you_mean(name, part_names([*built_in, *offered])),
    )


def _plugin_classes(plugin: str) -> Mapping[str, type[Penalty]]:
    text = Path(plugin).read_bytes()
    return _import_plugin(plugin, hashlib.sha256(plugin.encode() + b"\0" + text).hexdigest())


@lru_cache(maxsize=64)
def _import_plugin(plugin: str, digest: str) -> Mapping[str, type[Penalty]]:
    # Two suites run by one process may each bring a penalty of the same name.
    for name in [n for n, cls in REGISTRY.items() if cls.__module__.startswith(_PLUGIN)]:
        del REGISTRY[name]
    before = set(REGISTRY)
    module_name = _PLUGIN + digest[:16]
    spec = importlib.util.spec_from_file_location(module_name, plugin)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        problem = f"cannot be imported: {type(error).__name__}: {error}"
        raise SpecError(problem, file=plugin) from error
    return {name: REGISTRY[name] for name in REGISTRY.keys() - before}


def _checked(found: object, name: str, origin: str) -> type[Penalty]:
    if isinstance(found, type) and issubclass(found, Penalty):
        return found
    raise SpecError(
        f"the entry point {name!r} is {origin}, which is no Penalty",
        remedy=f'let it name the class decorated with @penalty("{name}")',
    )
