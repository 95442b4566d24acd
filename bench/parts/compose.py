"""From names in a cell to parts: built-in, from a plug-in file, or from a package."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from bench import sources
from bench.errors import SpecError, did_you_mean
from bench.models.weights import NetworkBuilder
from bench.parts import kinds
from bench.parts.part import REGISTRY, Part
from bench.records.code import modules_beside
from bench.spec.parts import (
    FOLDERS,
    Kind,
    built_in_parts,
    entry_points,
    find_part,
    known_parts,
    part_names,
)
from bench.spec.recipe import Use, Warmup
from bench.spec.work import Network, Train, network_name

P = TypeVar("P", bound=Part)
_PLUGIN = "retable_plugin_"


@dataclass(frozen=True)
class Composition:
    """The parts of a training, ready to use; penalties and patches by name, in that order."""

    penalties: Mapping[str, kinds.Penalty]
    patches: Mapping[str, kinds.Patch]
    trainable: kinds.Trainable
    update: kinds.Update
    head: kinds.Head
    warmup: Warmup | None = None


def compose(work: Train, plugins: Sequence[str] = ()) -> Composition:
    """Return a training's parts.

    Raises
    ------
    SpecError
        If a name is unknown, a plug-in cannot be imported, or a parameter is not valid.
    """
    return Composition(
        penalties={u.name: load_part("penalty", u, plugins) for u in work.penalties},
        patches={u.name: load_part("patch", u, plugins) for u in work.patches},
        trainable=load_part("trainable", work.trainable, plugins),
        update=load_part("update", work.update, plugins),
        head=load_part("head", work.recipe.head_init, plugins),
        warmup=work.warmup,
    )


def load_part(kind: Kind, use: Use, plugins: Sequence[str] = ()) -> Any:
    """Return one part with its parameters; raises as ``compose`` does."""
    try:
        return part_class(kind, use.name, plugins)(**use.settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([use.name, *map(str, first["loc"])])
        raise SpecError(first["msg"], field=where) from error


def load_network(network: Network, plugins: Sequence[str] = ()) -> str | NetworkBuilder:
    """Return timm's name, or what builds the network of a part."""
    if isinstance(network, str):
        return network
    part = cast(kinds.Architecture, load_part("network", network, plugins))
    return NetworkBuilder(network_name(network), part.build)


def part_class(kind: Kind, name: str, plugins: Sequence[str] = ()) -> type[Part]:
    """Return the class of a part, importing only the file that it is in.

    Raises
    ------
    SpecError
        If no built-in, plug-in file or installed package has such a part.
    """
    built_in = built_in_parts()
    if (kind, name) in built_in:
        stem = built_in[kind, name].file.stem
        importlib.import_module(f"bench.parts.{FOLDERS[kind]}.{stem}")
        return REGISTRY[kind][name]
    known = known_parts(tuple(plugins))
    if (kind, name) in known:
        return _plugin_classes(known[kind, name].file.absolute())[kind, name]
    for entry in importlib.metadata.entry_points(group=entry_points(kind), name=name):
        installed = find_part(kind, name)
        if installed is not None:
            _offer_modules_beside(installed.file.absolute())
        return _checked(entry.load(), kind, name, entry.value)
    raise SpecError(
        f"there is no {kind} {name!r}", remedy=did_you_mean(name, part_names(kind, known))
    )


@lru_cache(maxsize=64)
def _plugin_classes(plugin: Path) -> Mapping[tuple[Kind, str], type[Part]]:
    # Two suites run by one process may each bring a part of the same name.
    for classes in REGISTRY.values():
        for name in [n for n, cls in classes.items() if cls.__module__.startswith(_PLUGIN)]:
            del classes[name]
    before = {(kind, name) for kind, classes in REGISTRY.items() for name in classes}
    _offer_modules_beside(plugin)
    module_name = _PLUGIN + hashlib.sha256(str(plugin).encode()).hexdigest()[:16]
    spec = sources.spec_of(module_name, plugin)
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        problem = f"cannot be imported: {type(error).__name__}: {error}"
        raise SpecError(problem, file=plugin) from error
    return {
        (kind, name): cls
        for kind, classes in REGISTRY.items()
        for name, cls in classes.items()
        if (kind, name) not in before
    }


def _offer_modules_beside(file: Path) -> None:
    """Let a user's file import what lies beside it, from the bytes that its digest is of."""
    beside = modules_beside(file)
    for name, place in beside.items():
        taken = getattr(sys.modules.get(name), "__file__", None)
        if taken is not None and Path(taken).absolute() != place:
            raise SpecError(
                f"imports {name}, which is {place}, and in this process already {taken}",
                file=file,
                remedy=f"give {place.name} a name that nothing else has",
            )
    sources.offer(beside)


def _checked(found: object, kind: Kind, name: str, origin: str) -> type[Part]:
    if isinstance(found, type) and issubclass(found, Part):
        return found
    raise SpecError(
        f"the entry point {name!r} is {origin}, which is no part",
        remedy=f'let it name the class decorated with @{kind}("{name}")',
    )
