"""Signatures of parts, read from their source without importing it."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    create_model,
)

from bench.errors import SpecError
from bench.once import once
from bench.spec.counts import count
from bench.spec.naming import Name
from bench.spec.recipe import Frozen, Items
from bench.spec.roles import fault_of

Kind = Literal[
    "penalty", "trainable", "patch", "update", "objective", "transform", "head", "network",
    "measurement",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
# The folder of a kind's built-in parts, and the last word of its entry points' group.
FOLDERS: Mapping[Kind, str] = {
    "penalty": "penalties", "trainable": "trainables", "patch": "patches", "update": "updates",
    "objective": "objectives", "transform": "transforms", "head": "heads", "network": "networks",
    "measurement": "measurements",
}  # fmt: skip
# What a class of a kind states beside its parameters: literals that a suite is checked by.
DECLARED: Mapping[Kind, Mapping[str, Any]] = {
    "penalty": {"needs": ()},
    "trainable": {},
    "patch": {},
    "update": {"curves": (), "gradients_per_step": "1"},
    "objective": {"metrics": {}, "score": "", "term": "", "targets": "classes", "views": 1},
    "transform": {"random": False, "draws": True},
    "head": {},
    "network": {},
    "measurement": {
        "roles": (),
        "data": "task",
        "reads": "checkpoint",
        "metrics": {},
        "curves": {},
    },
}
# The values that some of them may have.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "targets": ("classes", "numbers", "labels", "boxes", "trajectories"),
    "data": ("task", "source", "none"),
    "reads": ("checkpoint", "predictions"),
}
# Curves that every training has, beside its objective's term.
_CURVES = ("loss", "learning_rate")
# What a penalty may need beside names of measurements: the start's inner maps, and its own head.
SOURCE_MAPS = "source_maps"
SOURCE_HEAD = "source_head"
SOURCE_LOGITS = "source_logits"
OF_THE_START = (SOURCE_MAPS, SOURCE_HEAD, SOURCE_LOGITS)

_PARTS = Path(__file__).parent.parent / "parts"
_TYPES: dict[str, Any] = {
    "float": float, "int": int, "bool": bool, "str": str,
    "NonNegativeFloat": NonNegativeFloat, "PositiveFloat": PositiveFloat,
    "NonNegativeInt": NonNegativeInt, "PositiveInt": PositiveInt,
}  # fmt: skip

# Which values of a metric are the better ones.
Side = Literal["highest", "lowest"]
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """What a suite must know of a part: its kind and name, its file, its parameters.

    ``declared`` holds what its class states beside them: ``needs`` of a penalty, ``metrics`` of
    an objective, ``roles`` of a measurement. ``about`` is the first line of its docstring.
    """

    kind: Kind
    name: str
    file: Path
    parameters: type[BaseModel]
    declared: Mapping[str, Any]
    about: str = ""

    def __getattr__(self, name: str) -> Any:
        declared = object.__getattribute__(self, "declared")
        if name in declared:
            return declared[name]
        raise AttributeError(name)

    def metrics_with(self, settings: Mapping[str, Any]) -> Mapping[str, tuple[str, Side]]:
        """Return an objective's or a measurement's metrics, where its parameters are these."""
        return named_metrics(self.metrics, settings)

    def curves_with(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the axes of a measurement's curves, where its parameters are these."""
        return named_metrics(self.curves, settings)

    def fault_with(self, settings: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the metrics' names, where the parameters are these; else None.

        Two metrics are not to have one name, nor two curves, and no metric the name of what is
        derived from another.
        """
        for what in ("metrics", "curves"):
            patterns = self.declared.get(what, {})
            names = Counter(name for each in patterns for name in _names_of(each, settings))
            for name, times in names.items():
                if times > 1:
                    return f"two of its {what} would be {name}"
        for name in named_metrics(self.declared.get("metrics", {}), settings):
            if name.endswith(_DERIVED):
                return f"the metric {name!r} would be named as what is derived: one less a metric"
        return None


PartKey = tuple[Kind, str]
# What stands in a metric's name for the names in a parameter.
_PLACE = re.compile(r"\{(\w+)\}")
# What ends the name of one less a metric.
_DERIVED = "_error"


def named_metrics(patterns: Mapping[str, T], settings: Mapping[str, Any]) -> dict[str, T]:
    """Return metrics by name: one with ``{PARAMETER}`` in its name is one for each name in that.

    Curves are named so too.

    >>> named_metrics({"top1-{groups}": ("%", "highest")}, {"groups": {"base": (0, 90)}})
    {'top1-base': ('%', 'highest')}
    """
    return {name: of for each, of in patterns.items() for name in _names_of(each, settings)}


def _names_of(metric: str, settings: Mapping[str, Any]) -> list[str]:
    place = _PLACE.search(metric)
    if place is None:
        return [metric]
    # A record of before the part had this parameter has none of its metrics.
    return [_PLACE.sub(given, metric) for given in settings.get(place[1], ())]


def declared_as(name: str, metrics: Iterable[str]) -> str | None:
    """Return the declared metric that a name is one of, whatever the parameters; None if of none.

    >>> declared_as("top1-base", ["top1", "top1-{groups}"]), declared_as("top5", ["top1"])
    ('top1-{groups}', None)
    """
    patterns = {m: "[^/]+".join(map(re.escape, _PLACE.sub("\0", m).split("\0"))) for m in metrics}
    return next((m for m, pattern in patterns.items() if re.fullmatch(pattern, name)), None)


def read_parts(file: Path) -> tuple[Part, ...]:
    """Return the parts a Python file registers, by reading it as text.

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
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise SpecError(f"is not Python: {error}", file=file, line=line) from None
    parts = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            registered = _registered(node)
            if registered is not None:
                parts.append(_read_class(*registered, node, file))
    if not parts:
        raise SpecError(
            "registers no part",
            file=file,
            remedy='decorate a class, as with @penalty("name"), from bench.parts; '
            f"kinds: {', '.join(KINDS)}",
        )
    return tuple(parts)


@once(1)
def built_in_parts() -> Mapping[PartKey, Part]:
    """Return the parts that come with Retable, by kind and name."""
    found: dict[PartKey, Part] = {}
    for folder in FOLDERS.values():
        for file in sorted((_PARTS / folder).glob("*.py")):
            if file.name != "__init__.py":
                found |= {(part.kind, part.name): part for part in read_parts(file)}
    return found


@once(64)
def known_parts(plugins: tuple[str, ...] = ()) -> Mapping[PartKey, Part]:
    """Return all parts by kind and name: built-in, and from the suite's plug-ins.

    Raises
    ------
    SpecError
        If a plug-in takes a name that is already taken.
    """
    parts = dict(built_in_parts())
    for plugin in plugins:
        for part in read_parts(Path(plugin)):
            key = (part.kind, part.name)
            if key in parts:
                raise SpecError(
                    f"the name {part.name!r} is already taken by {parts[key].file}",
                    file=plugin,
                    remedy=f"give the {part.kind} another name",
                )
            parts[key] = part
    return parts


def entry_points(kind: Kind) -> str:
    """Return the group of entry points by which packages offer parts of a kind."""
    return f"retable.{FOLDERS[kind]}"


def find_part(kind: Kind, name: str, plugins: tuple[str, ...] = ()) -> Part | None:
    """Return a part: built-in, of a plug-in, or offered by an installed package."""
    known = known_parts(plugins).get((kind, name))
    return known if known is not None else _installed_part(kind, name)


def _installed_part(kind: Kind, name: str) -> Part | None:
    # Looking through all installed packages is slow: only for names not known otherwise.
    for entry in importlib.metadata.entry_points(group=entry_points(kind), name=name):
        file = _module_file(entry.module)
        if file is not None:
            found = (p for p in read_parts(file) if (p.kind, p.name) == (kind, name))
            return next(found, None)
    return None


def part_names(kind: Kind, parts: Iterable[PartKey]) -> list[str]:
    """Return all names of a kind, to suggest when one is unknown."""
    installed = {e.name for e in importlib.metadata.entry_points(group=entry_points(kind))}
    return [*(name for of, name in parts if of == kind), *sorted(installed)]


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


def _registered(node: ast.ClassDef) -> tuple[Kind, str] | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and len(decorator.args) == 1:
            function = decorator.func
            name = function.attr if isinstance(function, ast.Attribute) else None
            name = function.id if isinstance(function, ast.Name) else name
            argument = decorator.args[0]
            for kind in KINDS:
                if name == kind and isinstance(argument, ast.Constant):
                    return kind, str(argument.value)
    return None


def _read_class(kind: Kind, name: str, node: ast.ClassDef, file: Path) -> Part:
    fields: dict[str, Any] = {}
    declared = dict(DECLARED[kind])
    for item in node.body:
        targets: list[str] = []
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            targets = [item.target.id]
        elif isinstance(item, ast.Assign):
            targets = [target.id for target in item.targets if isinstance(target, ast.Name)]
        for target in targets:
            assert isinstance(item, ast.AnnAssign | ast.Assign)
            if target in declared and item.value is not None:
                declared[target] = _read_declared(kind, target, item.value, file, item.lineno)
            elif (
                isinstance(item, ast.AnnAssign)
                and not _of_class(item.annotation)
                and not target.startswith("_")
            ):
                fields[target] = _read_field(item, file)
    if kind == "objective" and not (declared["term"] and declared["score"] in declared["metrics"]):
        raise SpecError(
            "an objective states its metrics, which of them is its score, and its loss's term",
            file=file,
            line=node.lineno,
            field=name,
            remedy='such as metrics = {"top1": ("%", "highest")}, score = "top1", term = "dice"',
        )
    _check_names(declared, name, node, file)
    _check_places(declared, fields, node, file)
    if declared.get("gradients_per_step"):
        _check_count("gradients_per_step", declared, fields, node, file)
    model = create_model(name, __base__=Frozen, **fields)
    about = (ast.get_docstring(node) or "").partition("\n")[0]
    return Part(kind, name, file, model, declared, about)


def _check_names(declared: Mapping[str, Any], part: str, node: ast.ClassDef, file: Path) -> None:
    """Refuse names by which something else is known."""
    problems = [
        f"the metric {metric!r} has the name of what is derived: one less a metric"
        for metric in declared.get("metrics", ())
        if metric.endswith(_DERIVED)
    ]
    if declared.get("term", "").replace("-", "_") in _CURVES:
        problems.append(f"the term {declared['term']!r} has the name of another curve")
    if problems:
        raise SpecError(
            problems[0],
            file=file,
            line=node.lineno,
            field=part,
            remedy="give it another name, for a metric such as one that ends in -error",
        )


def _check_places(
    declared: Mapping[str, Any], fields: Mapping[str, Any], node: ast.ClassDef, file: Path
) -> None:
    """Refuse metrics and curves by the names in a parameter that has none."""
    for name in (*declared.get("metrics", ()), *declared.get("curves", ())):
        for place in _PLACE.findall(name):
            if place not in fields or get_origin(fields[place][0]) is not dict:
                raise SpecError(
                    f"{name!r} is one for each name in {place}, which is no parameter of names",
                    file=file,
                    line=node.lineno,
                    field=node.name,
                    remedy=f"annotate {place} as dict[str, …]",
                )


def _check_count(
    name: str,
    declared: Mapping[str, Any],
    fields: Mapping[str, Any],
    node: ast.ClassDef,
    file: Path,
) -> None:
    """Refuse a count that does not follow from parameters that are whole numbers."""
    whole = (int, NonNegativeInt, PositiveInt)
    numbers = {field: 1 for field, (kind, _) in fields.items() if kind in whole}
    try:
        count(declared[name], numbers)
    except ValueError as error:
        raise SpecError(
            f"{declared[name]!r} is no sum or product of whole numbers and parameters: {error}",
            file=file,
            line=node.lineno,
            field=name,
            remedy='write it like "n_ref + 1"; "" where it is not known before the training',
        ) from None


def _of_class(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value.startswith(("ClassVar", "typing.ClassVar"))
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return ast.unparse(outer) in ("ClassVar", "typing.ClassVar")


def _read_declared(kind: Kind, name: str, value: ast.expr, file: Path, line: int) -> Any:
    given = _literal(value, file, line)
    expected = DECLARED[kind][name]
    if isinstance(expected, tuple):
        ok = isinstance(given, tuple | list) and all(isinstance(item, str) for item in given)
        problem = "must be a tuple of names"
    elif name == "metrics":
        ok = isinstance(given, dict) and all(_is_metric(value) for value in given.values())
        problem = 'must map each metric to its unit and the better side: ("%", "highest")'
    elif isinstance(expected, dict):
        ok = isinstance(given, dict) and all(isinstance(v, str) for v in given.values())
        problem = "must map each name to a word"
    elif name in _WORDS:
        ok = given in _WORDS[name]
        problem = f"must be one of {', '.join(_WORDS[name])}"
    else:
        ok = isinstance(given, type(expected))
        problem = f"must be like {expected!r}"
    if isinstance(given, dict):
        ok = ok and all(isinstance(key, str) for key in given)
    if not ok:
        raise SpecError(f"{name} {problem}", file=file, line=line, field=name)
    if name == "roles" and (fault := fault_of(given)) is not None:
        raise SpecError(f"{name} {fault}", file=file, line=line, field=name)
    return tuple(given) if isinstance(expected, tuple) else given


def _is_metric(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and isinstance(value[0], str)
        and value[1] in ("highest", "lowest")
    )


def _read_field(item: ast.AnnAssign, file: Path) -> tuple[Any, Any]:
    assert isinstance(item.target, ast.Name)
    kind = _read_type(item.annotation)
    if kind is None:
        raise SpecError(
            f"{ast.unparse(item.annotation)} is not a type a parameter may have",
            file=file,
            line=item.lineno,
            field=item.target.id,
            remedy=f"use {', '.join(_TYPES)}, a Literal of strings, or tuple[…, ...] or "
            "dict[str, …] of these",
        )
    if item.value is None:
        return kind, ...
    default = _literal(item.value, file, item.lineno)
    try:
        return kind, TypeAdapter(kind).validate_python(default)
    except ValidationError:
        raise SpecError(
            f"the default {default!r} is no {ast.unparse(item.annotation)}",
            file=file,
            line=item.lineno,
            field=item.target.id,
        ) from None


def _read_type(annotation: ast.expr) -> Any:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    if isinstance(annotation, ast.Name):
        return _TYPES.get(annotation.id)
    if isinstance(annotation, ast.Attribute):
        return _TYPES.get(annotation.attr)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        # Only ``X | None``.
        inner = _read_type(annotation.left)
        none = isinstance(annotation.right, ast.Constant) and annotation.right.value is None
        return inner | None if inner is not None and none else None
    if isinstance(annotation, ast.Subscript):
        outer = ast.unparse(annotation.value)
        inner_items = annotation.slice
        items = inner_items.elts if isinstance(inner_items, ast.Tuple) else [inner_items]
        if outer.endswith("Literal") and all(
            isinstance(i, ast.Constant) and isinstance(i.value, str) for i in items
        ):
            return Literal[tuple(i.value for i in items if isinstance(i, ast.Constant))]
        if outer == "dict" and len(items) == 2 and ast.unparse(items[0]) == "str":
            # They become names of metrics, and of columns and files made of these.
            of = _read_type(items[1])
            return dict[Name, of] if of is not None else None  # type: ignore[valid-type]
        if outer == "tuple" and len(items) == 2 and ast.unparse(items[1]) == "...":
            of = _read_type(items[0])
            return Items[of] if of is not None else None  # type: ignore[valid-type]
    return None


def _literal(value: ast.expr, file: Path, line: int) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise SpecError(
            f"{ast.unparse(value)} is not a literal",
            file=file,
            line=line,
            remedy="a suite is read without running the file: write the value itself",
        ) from None
