"""Signatures of method parts, read from their source without importing it."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    create_model,
)

from bench.errors import SpecError

ENTRY_POINTS = "retable.penalties"
NEEDS = ("source_maps", "channel_attention")
_BUILT_IN = Path(__file__).parent.parent / "methods" / "penalties"
_TYPES: dict[str, Any] = {
    "float": float, "int": int, "bool": bool, "str": str,
    "NonNegativeFloat": NonNegativeFloat, "PositiveFloat": PositiveFloat,
    "NonNegativeInt": NonNegativeInt, "PositiveInt": PositiveInt,
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What a suite must know of a penalty: its name, its file, its parameters, its needs."""

    name: str
    file: Path
    parameters: type[BaseModel]
    needs: tuple[str, ...]


def read_parts(file: Path) -> tuple[Part, ...]:
    """Return the penalties a Python file registers, by reading it as text.

    Raises
    ------
    SpecError
        If the file cannot be read or parsed, registers nothing, or a parameter's type or default
        is not one that a signature may have.
    """
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=file) from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise SpecError(f"is not Python: {error}", file=file, line=line) from None
    parts = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            name = _registered_name(node)
            if name is not None:
                parts.append(_read_class(name, node, file))
    if not parts:
        raise SpecError(
            "registers no penalty",
            file=file,
            remedy='decorate a class with @penalty("name"), from bench.methods',
        )
    return tuple(parts)


@lru_cache(maxsize=1)
def built_in_parts() -> Mapping[str, Part]:
    """Return the parts that come with Retable, by name."""
    files = sorted(f for f in _BUILT_IN.glob("*.py") if f.name != "__init__.py")
    return {part.name: part for file in files for part in read_parts(file)}


@lru_cache(maxsize=64)
def known_parts(plugins: tuple[str, ...] = ()) -> Mapping[str, Part]:
    """Return all parts by name: built-in, from the suite's plug-ins.

    Raises
    ------
    SpecError
        If a plug-in takes a name that is already taken.
    """
    parts = dict(built_in_parts())
    for plugin in plugins:
        for part in read_parts(Path(plugin)):
            if part.name in parts:
                raise SpecError(
                    f"the name {part.name!r} is already taken by {parts[part.name].file}",
                    file=plugin,
                    remedy="give the penalty another name",
                )
            parts[part.name] = part
    return parts


def installed_part(name: str) -> Part | None:
    """Return a part that an installed package offers as an entry point, if any does."""
    # Looking through all installed packages is slow: only for names not known otherwise.
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        file = _module_file(entry.module)
        if file is not None:
            return next((part for part in read_parts(file) if part.name == name), None)
    return None


def installed_names() -> list[str]:
    """Return the names of all parts that installed packages offer."""
    return sorted({entry.name for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)})


def _module_file(module: str) -> Path | None:
    # find_spec of "a.b" would import "a"; walk down from the top package's folder instead.
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    base = Path(spec.origin).parent.joinpath(*rest)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def _registered_name(node: ast.ClassDef) -> str | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and len(decorator.args) == 1:
            function = decorator.func
            name = function.attr if isinstance(function, ast.Attribute) else None
            name = function.id if isinstance(function, ast.Name) else name
            argument = decorator.args[0]
            if name == "penalty" and isinstance(argument, ast.Constant):
                return str(argument.value)
    return None


def _read_class(name: str, node: ast.ClassDef, file: Path) -> Part:
    fields: dict[str, Any] = {}
    needs: tuple[str, ...] = ()
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if item.target.id == "needs":
                needs = _read_needs(item.value, file, item.lineno)
            else:
                fields[item.target.id] = _read_field(item, file)
        elif isinstance(item, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "needs" for target in item.targets
        ):
            needs = _read_needs(item.value, file, item.lineno)
    model = create_model(
        name, __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False), **fields
    )
    return Part(name, file, model, needs)


def _read_needs(value: ast.expr | None, file: Path, line: int) -> tuple[str, ...]:
    given = _literal(value, file, line) if value is not None else ()
    if not isinstance(given, tuple | list) or any(need not in NEEDS for need in given):
        raise SpecError(
            f"needs must be a tuple of {', '.join(NEEDS)}", file=file, line=line, field="needs"
        )
    return tuple(given)


def _read_field(item: ast.AnnAssign, file: Path) -> tuple[Any, Any]:
    assert isinstance(item.target, ast.Name)
    kind = _read_type(item.annotation)
    if kind is None:
        raise SpecError(
            f"{ast.unparse(item.annotation)} is not a type a parameter may have",
            file=file,
            line=item.lineno,
            field=item.target.id,
            remedy=f"use {', '.join(_TYPES)} or Literal of strings",
        )
    default = ... if item.value is None else _literal(item.value, file, item.lineno)
    return kind, default


def _read_type(annotation: ast.expr) -> Any:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Name):
        return _TYPES.get(annotation.id)
    if isinstance(annotation, ast.Attribute):
        return _TYPES.get(annotation.attr)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Literal"):
        inner = annotation.slice
        items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if all(isinstance(i, ast.Constant) and isinstance(i.value, str) for i in items):
            return Literal[tuple(i.value for i in items if isinstance(i, ast.Constant))]
    return None


def _literal(value: ast.expr, file: Path, line: int) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise SpecError(
            f"{ast.unparse(value)} is not a literal",
            file=file,
            line=line,
            remedy="a suite is read without running the file: write the value itself",
        ) from None


def part_names(parts: Iterable[str]) -> list[str]:
    """Return all names to suggest when one is unknown."""
    return [*parts, *installed_names()]
