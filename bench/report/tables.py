"""Tables in the paper's own shape: rows by block, one column for each value of an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from bench.report import markdown
from bench.report.aggregate import Block, E, Entry
from bench.report.numbers import mean_text, number, portion
from bench.spec.cell import Scalar
from bench.spec.suite import Suite, Table

# Wider tables scroll sideways on GitHub.
MAX_COLUMNS = 8
STATES = ("missing", "running", "stale", "failed")


def label(suite: Suite, axis: str, value: Scalar) -> str:
    """Return how an axis value is shown: the suite's label, a rate in percent, or itself."""
    names = suite.labels.get(axis, {})
    if str(value) in names:
        return names[str(value)]
    if isinstance(value, float):
        # `0.30: …` in YAML is the key "0.30".
        for key, shown in names.items():
            if _float(key) == value:
                return shown
        if axis == "sampling_rate":
            return f"{100 * value:g}%"
        return f"{value:g}"
    return str(value)


def axis_name(axis: str) -> str:
    """Return an axis's name in words."""
    return axis.removeprefix("recipe.").removeprefix("penalties.").replace("_", " ")


def render(
    blocks: Sequence[Block[E]],
    axes: tuple[Sequence[str], str],
    suite: Suite,
    text: Callable[[Block[E], E], str],
) -> str:
    """Return Markdown tables of blocks; blocks with the same columns share one.

    Parameters
    ----------
    axes
        The axes of the rows, and that of the columns.
    text
        What an entry of a block says, as Markdown.
    """
    rows, column_axis = axes
    shared: dict[tuple[Scalar, ...], list[Block[E]]] = {}
    for block in blocks:
        shared.setdefault(block.columns, []).append(block)
    tables = []
    for columns, members in shared.items():
        left = iter(columns)
        while chunk := list(islice(left, MAX_COLUMNS)):
            header = [*map(axis_name, rows), *(label(suite, column_axis, c) for c in chunk)]
            lines = [line for block in members for line in _lines(block, chunk, rows, suite, text)]
            escaped = [markdown.escape(h) for h in header]
            tables.append(markdown.table(escaped, _ditto(lines, len(rows)), left=len(rows)))
    return "\n\n".join(tables)


def _lines(
    block: Block[E],
    columns: Sequence[Scalar],
    rows: Sequence[str],
    suite: Suite,
    text: Callable[[Block[E], E], str],
) -> list[list[str]]:
    lines = []
    for row in block.rows:
        names = [label(suite, a, v) for a, v in zip(rows, (*block.key, row), strict=True)]
        entries = [block.entries.get((row, column)) for column in columns]
        texts = ["" if entry is None else text(block, entry) for entry in entries]
        lines.append([*map(markdown.escape, names), *texts])
    return lines


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


def results_table(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str], suite: Suite
) -> str:
    """Return our numbers: mean ± half-width, the best complete mean of each column bold."""
    expected = {entry.expected for block in blocks for entry in block.entries.values()}
    best = {
        id(entry)
        for block in blocks
        for column in block.columns
        for entry in best_entries(block.column(column), complete_mean, suite.table)
    }

    def text(_: Block[Entry], entry: Entry) -> str:
        shown = mean_text(entry.estimate, suite.table.decimals, bold=id(entry) in best)
        if entry.partial or len(expected) > 1:
            shown += f" ({portion(entry.n, entry.expected)})"
        return shown

    return render(blocks, axes, suite, text)


def best_entries(entries: Sequence[E], mean: Callable[[E], float | None], table: Table) -> list[E]:
    """Return the entries with the best mean as shown: equal ones are all best.

    ``mean`` is None for an entry that cannot be best; nothing is best among fewer than two.
    """
    means = {id(e): round(m, table.decimals) for e in entries if (m := mean(e)) is not None}
    if len(means) < 2:
        return []
    best = max(means.values()) if table.best == "highest" else min(means.values())
    return [e for e in entries if means.get(id(e)) == best]


def complete_mean(entry: Entry) -> float | None:
    """Return an entry's mean if it is a number of all its seeds."""
    return None if entry.partial or math.isnan(entry.estimate.mean) else entry.estimate.mean


def incomplete_table(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str], suite: Suite
) -> tuple[int, str]:
    """Return how many entries lack seeds, and a table of why (empty where none does)."""
    rows, column = axes
    names = [*rows, column]
    lines = [
        [
            *(markdown.escape(label(suite, axis, entry.where[axis])) for axis in names),
            portion(entry.n, entry.expected),
            *(_count(entry.states, state) for state in STATES),
        ]
        for block in blocks
        for entry in block.entries.values()
        if entry.partial
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
