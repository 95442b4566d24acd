"""The setting read back from a page, by what is printed there alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.spec.cell import Cell, PlannedCell
from bench.spec.plan import Plan

from ..studies import section, tables_of

CODE = re.compile(r"`([^`]*)`")
ASSIGNED = re.compile(r"`([^`]*?) = ([^`]*)`(?: \(((?:[^()`]|`[^`]*`)*)\))?")
CONDITION = re.compile(r"([^`;]+?) ((?:`[^`]*`(?:, )?)+)")
WHOLE = ("optimizer", "schedule", "head_init", "network")
LISTS = ("penalties", "patches")
Facts = dict[str, Any]
Where = dict[str, set[Any]]


@dataclass
class Printed:
    """A page's tables of its setting, by title; each a list of rows with its header."""

    plan: Plan
    tables: dict[str, list[dict[str, str]]]

    @classmethod
    def of(cls, plan: Plan, markdown: str) -> Printed:
        found = {}
        for part in section(markdown, "Setting").split("<details><summary>")[1:]:
            title, _, body = part.partition("</summary>")
            ((header, *rows),) = tables_of(body)
            found[title] = [dict(zip(header, row, strict=True)) for row in rows]
        return cls(plan, found)

    def of_table(self, place: Mapping[str, Any]) -> Facts:
        """Return the setting of the table's cells at a place."""
        facts: Facts = {}
        for title in ("Every other setting", "Every setting"):
            facts |= self._settings(self.tables.get(title, []), place)
        for row in self.tables.get("Methods", []):
            if place["method"] in self._values("method", [text(row["method"])]):
                facts |= self._composition(row, place)
                for name, value, where in ASSIGNED.findall(row.get("settings", "")):
                    if self._holds(where, place):
                        facts[name] = parsed(value)
        return {k: v for k, v in facts.items() if v is not None}

    def behind(self, name: str, place: Mapping[str, Any], *, trained: bool) -> Facts:
        """Return the setting of a cell behind the table, there for a cell of it at a place."""
        rows = self.tables[f"Behind the table: {name}"]
        own = self._settings(rows, place)
        named = {k: v for k, v in own.items() if k in ("loss", "trains", "update", "warm-up")}
        patches = own.pop("patches", None)
        plain = {k: v for k, v in own.items() if k not in named}
        facts = {
            k: v
            for k, v in (self.of_table({**place}) if trained else {}).items()
            if k.partition(".")[0]
            not in ("seed", "parent", "penalties", "patches", "trainable", "update", "warmup")
        }
        chosen = {n.partition(".")[0] for n, v in plain.items() if v is not None} & {*WHOLE}
        facts = {k: v for k, v in facts.items() if k.partition(".")[0] not in chosen} | plain
        composed = {k: str(v) for k, v in named.items()}
        if patches is not None:
            composed["patches"] = str(patches)
        facts |= self._composition(composed, place) if "loss" in composed else {}
        return {k: v for k, v in facts.items() if v is not None}

    def _settings(self, rows: list[dict[str, str]], place: Mapping[str, Any]) -> Facts:
        facts: Facts = {}
        name = ""
        for row in rows:
            name = row["setting"] or name
            if self._holds(row.get("where", ""), place):
                key = name.strip("`")
                assert key not in facts, f"{key} is told twice"
                shown = row["value"]
                if name in ("loss", "trains", "patches", "update", "warm-up"):
                    facts[key] = shown
                elif shown.startswith("that of the axis"):
                    words = text(shown.partition("*")[2].rstrip("*"))
                    facts[key] = comparable(place[self._axis(words)])
                else:
                    facts[key] = parsed(text(shown))
        return facts

    def _composition(self, row: Mapping[str, str], place: Mapping[str, Any]) -> Facts:
        facts: Facts = {}
        for use in self._uses(row["loss"], place):
            facts |= used("penalties", use)
        for use in self._uses(row.get("patches", ""), place):
            facts |= used("patches", use)
        (trains,) = self._uses(row["trains"], place)
        facts |= used("trainable", trains)
        updates = list(self._uses(row.get("update", ""), place))
        facts |= used("update", updates[0] if updates else "gradient")
        for use in self._uses(row.get("warm-up", ""), place):
            facts |= {f"warmup.{k.rpartition('.')[2]}": v for k, v in used("", use).items()}
        return facts

    def _uses(self, shown: str, place: Mapping[str, Any]) -> Iterator[str]:
        """Yield the parts in code of the one alternative that holds at a place."""
        found = []
        for alternative in parted(shown):
            match = re.fullmatch(r"(.*?)(?: \(((?:[^()`]|`[^`]*`)*)\))?", alternative)
            assert match
            if self._holds(match[2] or "", place):
                found.append(match[1])
        assert len(found) <= 1, shown
        for alternative in found:
            yield from CODE.findall(alternative)

    def _holds(self, where: str, place: Mapping[str, Any]) -> bool:
        for words, values in CONDITION.findall(where):
            axis = self._axis(text(words))
            if place[axis] not in self._values(axis, CODE.findall(values)):
                return False
        return True

    def _axis(self, words: str) -> str:
        axes = {
            re.sub(r"^(recipe|penalties|task|measure)\.", "", a)
            .replace("_", " ")
            .replace(".", " "): a
            for a in (*self.plan.suite.axes, "role")
        }
        return axes[words.strip()]

    def _values(self, axis: str, shown: list[str]) -> set[Any]:
        values = {p.place[axis] for p in self.plan.shown if axis in p.place}
        if axis == "role":
            return set(shown)
        labels = self.plan.suite.labels.get(axis, {})
        found = set()
        for value in values:
            number = isinstance(value, float)
            known = {str(value), labels.get(str(value))}
            known |= {f"{100 * value:g}%", f"{value:g}".replace("e-0", "e-")} if number else set()
            known |= {s for k, s in labels.items() if number and is_number(k) and float(k) == value}
            if known & {*shown}:
                found.add(value)
        return found


def text(markdown: str) -> str:
    """Undo the escapes of plain text."""
    return re.sub(r"\\(.)", r"\1", markdown.replace("&lt;", "<"))


def parted(shown: str) -> list[str]:
    """Split alternatives at semicolons that are neither in brackets nor in code."""
    parts, depth, code = [""], 0, False
    for char in shown:
        code ^= char == "`"
        depth += 0 if code else (char == "(") - (char == ")")
        if char == ";" and not code and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def parsed(shown: str) -> Any:
    """Return the value that a text stands for."""
    if shown == "–":
        return None
    if shown.startswith("[") and shown.endswith("]"):
        return tuple(map(parsed, shown[1:-1].split(", "))) if shown != "[]" else ()
    if shown in ("yes", "no"):
        return shown == "yes"
    return float(shown) if is_number(shown) else shown


def is_number(shown: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", shown) is not None


def used(prefix: str, shown: str) -> Facts:
    """Return the facts of a part as it is written: ``l2(weight=0.1)``."""
    name, _, inner = shown.partition("(")
    if not inner:
        return {f"{prefix}.{name}": True} if prefix in LISTS else {prefix: name}
    pairs = re.findall(r"(\w+)=(\[[^\]]*\]|[^,)]*)", inner)
    return {f"{prefix}.{name}.{key}": parsed(value) for key, value in pairs}


def comparable(value: Any) -> Any:
    """Return a value as :func:`parsed` returns it."""
    if isinstance(value, list | tuple):
        return tuple(map(comparable, value))
    return value if isinstance(value, bool | str) else float(value)


def actual(cell: Cell, names: Mapping[str, str]) -> Facts:
    """Return a cell's own values from what its record keeps, flat as the page names them."""
    settings = dict(cell.settings)
    facts: Facts = {}
    settings |= settings.pop("recipe", None) or {}
    tasks = settings.pop("tasks", None)
    if tasks is not None:
        settings |= {"task": tasks[""]} if list(tasks) == [""] else {"tasks": tasks}
    facts |= walk("", settings)
    for role, parent in cell.parents.items():
        facts[f"parent.{role}"] = f"{names[parent.id]}: {parent.artifact}"
    return facts


def walk(path: str, value: Any) -> Facts:
    if isinstance(value, dict):
        found: Facts = {}
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            found |= {path: key} if inner == {} and len(value) == 1 else walk(below, inner)
        return found
    if isinstance(value, list) and value and isinstance(value[0], dict):
        found = {}
        for use in value:
            ((name, own),) = use.items()
            found |= walk(f"{path}.{name}", own) or {f"{path}.{name}": True}
        return found
    return {} if value is None or value == [] else {path: comparable(value)}


def ancestors(planned: PlannedCell, cells: Mapping[str, Cell]) -> Iterator[tuple[str, Cell]]:
    """Yield what a cell goes back to, and as what."""

    def above(cell: Cell, below: str) -> Iterator[tuple[str, Cell]]:
        for role, parent in cell.parents.items():
            path = f"{role} of {below}" if below else role
            yield path, cells[parent.id]
            yield from above(cells[parent.id], path)

    yield from above(planned.cell, "")
