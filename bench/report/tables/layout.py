"""Tables in the paper's own shape: rows by block, one column for each value of an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from bench.report import markdown
from bench.report.numbers import number, portion
from bench.report.results import Block, E, Entry, Placed
from bench.report.tables.grid import (
    Field,
    Grid,
    Style,
    estimate_spans,
    grids,
    portion_span,
    undefined_span,
)
from bench.spec.cell import Scalar
from bench.spec.suite import DOTTED, METRIC, ShownMetric, Suite

# Wider tables scroll sideways on GitHub.
MAX_COLUMNS = 8
STATES = ("missing", "running", "stale", "failed")


def label(suite: Suite, axis: str, value: Scalar) -> str:
    """Return how an axis value is shown: the suite's label, a rate in percent, or itself."""
    if axis == METRIC:
        return measure_label(suite, str(value))
    given = given_label(suite, axis, value)
    if given is not None:
        return given
    if isinstance(value, float):
        # Python pads exponents: 1e-08.
        return f"{100 * value:g}%" if axis == "sampling_rate" else f"{value:g}".replace("e-0", "e-")
    return str(value)


def given_label(suite: Suite, axis: str, value: Scalar) -> str | None:
    """Return the label that the suite gives to an axis value; None where it gives none."""
    names = suite.labels.get(axis, {})
    if str(value) in names:
        return names[str(value)]
    if isinstance(value, float):
        # `0.30: …` in YAML is the key "0.30".
        return next((shown for key, shown in names.items() if _float(key) == value), None)
    return None


def measure_label(suite: Suite, metric: str) -> str:
    """Return how a metric heads its column: its name, with its unit."""
    unit = next(m.unit for m in suite.metrics if m.name == metric)
    return f"{measure_name(suite, metric)} ({unit})" if unit else measure_name(suite, metric)


def measure_name(suite: Suite, metric: str) -> str:
    """Return how a metric of the table is named."""
    return next(m.label or metric for m in suite.metrics if m.name == metric)


def axis_name(axis: str) -> str:
    """Return an axis's name in words."""
    name = next((axis.removeprefix(p) for p in DOTTED if axis.startswith(p)), axis)
    return name.replace("_", " ").replace(".", " ")


_MARKDOWN: Mapping[Style, str] = {
    "plain": "{}", "strong": "**{}**", "half": " {}", "note": " {}", "delta": ", {}",
    "mark": " <sup>{}</sup>",
}  # fmt: skip


def render(found: Sequence[Grid[E]], suite: Suite) -> str:
    """Return grids as Markdown tables."""
    tables = []
    for grid in found:
        for first in range(0, len(grid.columns), MAX_COLUMNS):
            part = slice(first, first + MAX_COLUMNS)
            header = [*map(axis_name, grid.rows)]
            header += [label(suite, grid.column, c) for c in grid.columns[part]]
            lines = [
                [
                    *(markdown.escape(label(suite, a, v))
                      for a, v in zip(grid.rows, line.values, strict=True)),
                    *map(_markdown, line.fields[part]),
                ]
                for line in grid.lines
            ]  # fmt: skip
            escaped = [markdown.escape(h) for h in header]
            width = len(grid.rows)
            tables.append(markdown.table(escaped, _ditto(lines, width), left=width))
    return "\n\n".join(tables)


def _markdown(field: Field[E] | None) -> str:
    spans = () if field is None else field.spans
    return "".join(_MARKDOWN[span.style].format(span.text) for span in spans)


def _ditto(lines: Sequence[list[str]], width: int) -> list[list[str]]:
    # As in print: what the row above already says is left out, but never the last axis.
    shown = []
    above: list[str] = []
    for line in lines:
        same = 0
        while same < width - 1 and above[:width] and above[same] == line[same]:
            same += 1
        shown.append([""] * same + line[same:])
        above = line
    return shown


def results_grids(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str]
) -> list[Grid[Entry]]:
    """Return our numbers: mean ± half-width, the best complete mean of each column strong."""
    expected = {entry.expected for block in blocks for entry in block.entries.values()}
    best = best_of(blocks, complete_mean)

    def field(entry: Entry) -> Field[Entry]:
        strong = id(entry) in best
        spans = estimate_spans(entry.estimate, entry.shown.decimals, strong=strong)
        if entry.undefined:
            spans += (undefined_span(len(entry.undefined), entry.expected),)
        elif entry.partial or len(expected) > 1:
            spans += (portion_span(entry.n, entry.expected),)
        return Field(entry, entry.estimate.mean, spans)

    return grids(blocks, axes, field)


class Measured(Placed, Protocol):
    """An entry of a table, with the metric it is of."""

    @property
    def shown(self) -> ShownMetric:
        """The metric, and how it is shown."""


M = TypeVar("M", bound=Measured)


def best_entries(entries: Sequence[M], mean: Callable[[M], float | None]) -> list[M]:
    """Return the entries of one metric with the best mean as shown: equal ones are all best.

    ``mean`` is None for an entry that cannot be best; nothing is best among fewer than two.
    """
    means = {id(e): round(m, e.shown.decimals) for e in entries if (m := mean(e)) is not None}
    if len(means) < 2:
        return []
    highest = entries[0].shown.best == "highest"
    best = max(means.values()) if highest else min(means.values())
    return [e for e in entries if means.get(id(e)) == best]


def best_of(blocks: Iterable[Block[M]], mean: Callable[[M], float | None]) -> set[int]:
    """Return the identities of each column's best entries."""
    return {
        id(entry)
        for block in blocks
        for column in block.columns
        for entry in best_entries(block.column(column), mean)
    }


def complete_mean(entry: Entry) -> float | None:
    """Return an entry's mean if it is a number of all its seeds."""
    return None if entry.partial or math.isnan(entry.estimate.mean) else entry.estimate.mean


def incomplete_table(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str], suite: Suite
) -> tuple[int, str]:
    """Return how many entries lack seeds, and a table of why (empty where none does)."""
    rows, column = axes
    # All metrics of a cell come from one record.
    names = [*rows] if column == METRIC else [*rows, column]
    partial = {
        tuple(entry.where[axis] for axis in names): entry
        for block in blocks
        for entry in block.entries.values()
        if entry.partial and not entry.undefined
    }
    lines = [
        [
            *(markdown.escape(label(suite, axis, entry.where[axis])) for axis in names),
            portion(entry.n, entry.expected),
            *(_count(entry.states, state) for state in STATES),
        ]
        for entry in partial.values()
    ]
    header = [*map(axis_name, names), "done", *STATES]
    return len(lines), markdown.table(header, lines, left=len(names)) if lines else ""


def _count(states: Mapping[str, int], state: str) -> str:
    count = states.get(state, 0)
    return number(count, 0) if count else ""


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
