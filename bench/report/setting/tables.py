"""The tables of a page's setting: methods, every other setting, what lies behind the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report import markdown
from bench.report.numbers import NOTHING
from bench.report.setting.cases import Case, cases, deciding_axes
from bench.report.setting.facts import (
    PARENT,
    ROLE,
    SEED,
    Facts,
    Setting,
    Value,
    settings_behind,
    table_settings,
    trial_settings,
)
from bench.report.tables.layout import axis_name, given_label, label
from bench.spec.merge import CHOICES
from bench.spec.plan import Plan
from bench.spec.recipe import Scalar, Use
from bench.spec.work import Train, plain

METHOD = "method"
LOSS, TRAINS, PATCHES, UPDATE, WARMUP = "loss", "trains", "patches", "update", "warm-up"
NONE, GRADIENT = "none", "gradient"
# Shown whole where all methods have it; what a reader takes for granted is not.
_USUAL = {PATCHES: NONE, UPDATE: GRADIENT, WARMUP: NONE}
# What a composition says is not said again.
_COMPOSED = ("trainable", "update", "penalties", "patches", "warmup")
# Chosen as a whole, so that nothing of another choice is left.
_WHOLE = (*CHOICES, "network")
_LISTED = "What is off or not given is not listed."
_BEHIND = (
    "Where nothing is listed it is as for the table's cells at the same place, but for seed and "
    f"parents; {NOTHING}: not given. Optimizer, schedule and head_init are listed whole or not."
)


@dataclass(frozen=True)
class SettingTable:
    """One table, its fields as Markdown."""

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def setting_tables(plan: Plan) -> list[SettingTable]:
    """Return everything that was set, exactly, and nothing that no cell has."""
    settings = table_settings(plan)
    shown = _Settings(plan, settings, tuple(a for a in plan.suite.axes if a != SEED))
    tables = [shown.methods()] if isinstance(settings[0].work, Train) else []
    tables.append(shown.others())
    others = settings_behind(plan) | ({"trial": trials} if (trials := trial_settings(plan)) else {})
    for name, own in others.items():
        behind = _Settings(plan, own, (*shown.axes, ROLE))
        tables.append(behind.behind(name, {_place(s): s for s in settings}))
    return [table for table in tables if table.rows]


def value_text(value: Value) -> str:
    """Return a setting's value: shortest exact decimals, yes and no, lists in brackets.

    >>> value_text(1e-08), value_text((0.08, 1.0)), value_text(True)
    ('1e-8', '[0.08, 1]', 'yes')
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value).removesuffix(".0").replace("e-0", "e-")
    return str(value)


class _Settings:
    """Settings at several places, as rows."""

    def __init__(self, plan: Plan, settings: Sequence[Setting], axes: Sequence[str]) -> None:
        self.plan, self.settings = plan, settings
        self.axes = [a for a in axes if len({s.where[a] for s in settings if a in s.where}) > 1]
        self.names = list(dict.fromkeys(name for s in settings for name in s.facts))
        self._decided: dict[tuple[object, ...], tuple[str, ...]] = {}

    def methods(self) -> SettingTable:
        """Return each method's composition, and the settings that differ between methods."""
        composed = [composition(s.work) for s in self.settings if isinstance(s.work, Train)]
        columns = [c for c in composed[0] if any(own[c] != _USUAL.get(c) for own in composed)]
        differing = [n for n in self._plain_names() if METHOD in self.deciding(n)]
        rows = []
        for method in dict.fromkeys(s.where[METHOD] for s in self.settings):
            mine = [i for i, s in enumerate(self.settings) if s.where[METHOD] == method]
            row = [markdown.escape(self.shown(METHOD, method))]
            row += [self._inline([composed[i][c] for i in mine], mine) for c in columns]
            if differing:
                row.append(", ".join(t for n in differing for t in self._assigned(n, mine)))
            rows.append(row)
        header = [METHOD, *columns, *(["settings"] if differing else [])]
        return SettingTable("Methods", _methods_caption(columns), header, rows)

    def others(self) -> SettingTable:
        """Return every setting that does not depend on the method."""
        train = isinstance(self.settings[0].work, Train)
        names = [
            n for n in (self._plain_names() if train else self.names)
            if METHOD not in self.deciding(n)
        ]  # fmt: skip
        rows = [row for name in names for row in self.rows(name)]
        title = "Every other setting" if train else "Every setting"
        return SettingTable(title, _LISTED, *_with_where(rows))

    def behind(self, name: str, table: Mapping[object, Setting]) -> SettingTable:
        """Return the setting of cells behind the table, as far as it is not the table's."""
        works = [s.work for s in self.settings]
        rows = []
        trained = all(isinstance(s.work, Train) for s in (*self.settings, *table.values()))
        if isinstance(works[0], Train):
            composed = [composition(work) for work in works if isinstance(work, Train)]
            for part in composed[0]:
                if any(own[part] != _USUAL.get(part) for own in composed):
                    rows += _ditto(part, [(c.value, self.where(c)) for c in self._cases(
                        [own[part] for own in composed])])  # fmt: skip
        names = self._plain_names() if isinstance(works[0], Train) else self.names
        if trained:
            names = self._own_names(names, [table[_place(s)].facts for s in self.settings])
        rows += [row for fact in names for row in self.rows(fact)]
        caption = _BEHIND if trained else _LISTED
        return SettingTable(f"Behind the table: {name}", caption, *_with_where(rows))

    def rows(self, name: str) -> list[list[str]]:
        """Return name, value and where of a setting, one row a case."""
        values = [s.facts.get(name) for s in self.settings]
        axis = self._axis_of(name, values)
        if axis is not None:
            return [[markdown.code(name), f"that of the axis *{markdown.escape(axis_name(axis))}*",
                     ""]]  # fmt: skip
        found = self._cases(values)
        return _ditto(markdown.code(name), [(_value(c.value), self.where(c)) for c in found])

    def deciding(self, name: str) -> tuple[str, ...]:
        """Return the axes that decide a setting."""
        values = tuple(s.facts.get(name) for s in self.settings)
        if values not in self._decided:
            places = [s.where for s in self.settings]
            self._decided[values] = deciding_axes(places, values, self.axes)
        return self._decided[values]

    def where(self, case: Case[Any]) -> str:
        """Return the axis values of a case."""
        return "; ".join(
            f"{markdown.escape(axis_name(axis))} "
            + ", ".join(markdown.code(self.shown(axis, value)) for value in values)
            for axis, values in case.where
        )

    def shown(self, axis: str, value: Scalar) -> str:
        """Return an axis value by its label where that tells it from the others."""
        text = label(self.plan.suite, axis, value)
        others = {s.where[axis] for s in self.settings} - {value}
        shared = any(label(self.plan.suite, axis, other) == text for other in others)
        return str(value) if shared else text

    def _own_names(self, names: Sequence[str], inherited: Sequence[Facts]) -> list[str]:
        """Return the settings that are not those inherited; a choice of which one is not, whole."""
        pairs = [(s.facts, base) for s, base in zip(self.settings, inherited, strict=True)]
        every = dict.fromkeys([*names, *(name for base in inherited for name in base)])
        differing = {
            _choice(name)
            for name in every
            if any(own.get(name) != base.get(name) for own, base in pairs) or not _inherits(name)
        }
        own = [name for name in names if _choice(name) in differing]
        covered = {*own, *map(_choice, own)}
        lost = [n for n in every if n in differing and n not in covered and _inherits(n)]
        return [*own, *lost]

    def _plain_names(self) -> list[str]:
        return [name for name in self.names if name.partition(".")[0] not in _COMPOSED]

    def _cases(self, values: Sequence[Any], at: Sequence[int] | None = None) -> list[Case[Any]]:
        settings = self.settings if at is None else [self.settings[i] for i in at]
        return cases([s.where for s in settings], values, self.axes)

    def _inline(self, texts: Sequence[str], at: Sequence[int]) -> str:
        found = self._cases(texts, at)
        return "; ".join(c.value + (f" ({self.where(c)})" if c.where else "") for c in found)

    def _assigned(self, name: str, at: Sequence[int]) -> Iterator[str]:
        for case in self._cases([self.settings[i].facts.get(name) for i in at], at):
            if case.value is not None:
                where = f" ({self.where(case)})" if case.where else ""
                yield markdown.code(f"{name} = {value_text(case.value)}") + where

    def _axis_of(self, name: str, values: Sequence[Any]) -> str | None:
        """Return the axis whose values, as they are shown, are the setting's own."""
        for axis in self.deciding(name)[:1]:
            own = [s.where[axis] for s in self.settings]
            unlabelled = all(given_label(self.plan.suite, axis, v) is None for v in set(own))
            if len(self.deciding(name)) == 1 and unlabelled and list(values) == own:
                return axis
        return None


def composition(work: Train) -> dict[str, str]:
    """Return a method's parts as Markdown: loss, what trains, patches, update, warm-up."""
    tasks = [
        markdown.escape(f"{name}: {task.objective.name}" if name else task.objective.name)
        for name, task in work.tasks.items()
    ]
    warmup = None
    if work.warmup is not None:
        warmup = Use(name="warmup", settings=plain(work.warmup, whole=True))
    return {
        LOSS: " + ".join([*tasks, *map(_use, work.penalties)]),
        TRAINS: _use(work.trainable),
        PATCHES: " + ".join(map(_use, work.patches)) or NONE,
        UPDATE: GRADIENT if work.update == Use(name=GRADIENT) else _use(work.update),
        WARMUP: NONE if warmup is None else _use(warmup),
    }


def _use(use: Use) -> str:
    settings = {k: v for k, v in plain(use.settings, whole=True).items() if v is not None}
    given = ", ".join(f"{key}={value_text(_fixed(value))}" for key, value in settings.items())
    return markdown.code(f"{use.name}({given})" if given else use.name)


def _fixed(value: Any) -> Value:
    fixed: Value = tuple(map(_fixed, value)) if isinstance(value, list | tuple) else value
    return fixed


def _value(value: Any) -> str:
    return NOTHING if value is None else markdown.escape(value_text(value))


def _inherits(name: str) -> bool:
    return name.partition(".")[0] not in (SEED, PARENT, *_COMPOSED)


def _choice(name: str) -> str:
    """Return what is chosen as a whole: the optimizer with all its settings."""
    first = name.partition(".")[0]
    return first if first in _WHOLE else name


def _place(setting: Setting) -> object:
    return frozenset((axis, v) for axis, v in setting.where.items() if axis != ROLE)


def _ditto(name: str, lines: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[name if i == 0 else "", *line] for i, line in enumerate(lines)]


def _with_where(rows: Sequence[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows; without the last column where nothing depends on anything."""
    if any(row[2] for row in rows):
        return ["setting", "value", "where"], [*rows]
    return ["setting", "value"], [row[:2] for row in rows]


def _methods_caption(columns: Sequence[str]) -> str:
    usual = {PATCHES: "without patches", UPDATE: "by the gradient", WARMUP: "without warm-up"}
    rest = [text for column, text in usual.items() if column not in columns]
    return f"All are trained {', '.join(rest)}." if rest else ""
