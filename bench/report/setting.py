"""What was run: the recipe and the methods of a plan, with what differs between its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.report import markdown
from bench.report.tables.layout import axis_name, label
from bench.spec.cell import Method, Scalar
from bench.spec.expand import Plan
from bench.spec.recipe import HeadInit, Recipe


def setting_table(plan: Plan) -> str:
    """Return every setting of the recipe; one that differs says for which axis value."""
    rows = setting_rows(plan)
    return markdown.table(["setting", "value"], rows, left=2) if rows else ""


def setting_rows(plan: Plan) -> list[list[str]]:
    """Return each setting's name and value as Markdown."""
    settings: dict[str, dict[str, list[Mapping[str, Scalar]]]] = {}
    flat: dict[int, list[tuple[str, str]]] = {}
    for labels, recipe in _recipes(plan):
        if id(recipe) not in flat:
            flat[id(recipe)] = list(_flat(recipe.model_dump(mode="json", exclude_none=True)))
        for name, value in flat[id(recipe)]:
            settings.setdefault(name, {}).setdefault(value, []).append(labels)
    if not any("channel-attention" in p.cell.parents for p in plan.cells):
        settings = {n: v for n, v in settings.items() if not n.startswith("channel_attention")}
    return [[markdown.code(name), _values(plan, values)] for name, values in settings.items()]


def methods_table(plan: Plan) -> str:
    """Return what each method is composed of, parameters included."""
    rows = method_rows(plan)
    return markdown.table(["method", "cross-entropy plus"], rows, left=2) if rows else ""


def method_rows(plan: Plan) -> list[list[str]]:
    """Return each method's name and composition as Markdown."""
    distinct = {
        (planned.labels.get("method", ""), id(planned.cell.method)): planned.cell.method
        for planned in plan.cells
        if planned.labels and planned.cell.method is not None
    }
    methods: dict[str, dict[str, None]] = {}
    for (name, _), method in distinct.items():
        shown = label(plan.suite, "method", name)
        methods.setdefault(shown, {})[_composition(method)] = None
    return [[markdown.escape(name), " or ".join(texts)] for name, texts in methods.items()]


def _recipes(plan: Plan) -> list[tuple[Mapping[str, Scalar], Recipe]]:
    # Thousands of cells share one recipe object and differ in their seed alone.
    seen: dict[tuple[Any, ...], tuple[Mapping[str, Scalar], Recipe]] = {}
    for planned in plan.cells:
        if planned.labels and isinstance(planned.cell.recipe, Recipe):
            labels = {a: v for a, v in planned.labels.items() if a != "seed"}
            key = (id(planned.cell.recipe), *labels.values())
            seen.setdefault(key, (labels, planned.cell.recipe))
    return list(seen.values())


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "yes"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _values(plan: Plan, values: Mapping[str, list[Mapping[str, Scalar]]]) -> str:
    if len(values) == 1:
        return markdown.escape(next(iter(values)))
    axis = _deciding_axis(plan, values)
    if axis is None:
        return markdown.escape(" or ".join(values))
    parts = []
    for value, places in values.items():
        names = dict.fromkeys(label(plan.suite, axis, place[axis]) for place in places)
        parts.append(f"{value} ({axis_name(axis)}: {', '.join(names)})")
    return markdown.escape("; ".join(parts))


def _deciding_axis(plan: Plan, values: Mapping[str, list[Mapping[str, Scalar]]]) -> str | None:
    for axis in plan.suite.axes:
        sets = [{place.get(axis) for place in places} for places in values.values()]
        if sum(map(len, sets)) == len(set().union(*sets)):
            return axis
    return None


def _composition(method: Method) -> str:
    parts = [
        markdown.code(f"{name}({', '.join(f'{k}={_plain(v)}' for k, v in parameters.items())})")
        for name, parameters in method.penalties.items()
    ]
    text = " + ".join(parts) or "nothing"
    if isinstance(method.head_init, HeadInit):
        text += f", head {markdown.code(method.head_init.choice)}"
    return text + (", only the head trains" if method.trainable == "head" else "")
