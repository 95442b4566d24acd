"""A suite's tables for the site, from the same entries as the leaderboard's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from bench.report.numbers import NOTHING, number, portion
from bench.report.results import Block, E, Entry, arrange
from bench.report.sections import Board
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.tables.contrasts import Difference, differences
from bench.report.tables.layout import axis_name, best_entries, complete_mean, label
from bench.report.tables.reported import Matched, by_measure, printed_decimals
from bench.spec.cell import Scalar
from bench.spec.suite import Contrast, Suite
from bench.stats.intervals import Estimate

Link = Callable[[Entry], str]


def results(board: Board, link: Link) -> list[Grid]:
    """Return our numbers; each links to the seeds that it is the mean of."""
    expected = {entry.expected for entry in board.entries}
    best = _best(board.blocks, complete_mean)

    def field(entry: Entry) -> Field:
        text = estimate_html(entry.estimate, entry.shown.decimals, strong=id(entry) in best)
        if entry.partial or len(expected) > 1:
            text += _small(f"({portion(entry.n, entry.expected)})")
        return number_field(entry.estimate.mean, text, link(entry))

    return _grids("Results", board.blocks, board, field)


def contrasts(board: Board, contrast: Contrast) -> list[Grid]:
    """Return the paired differences; strong where the interval excludes zero."""

    def field(difference: Difference) -> Field:
        estimate, expected = difference.estimate, difference.expected
        strong = estimate.excludes_zero and estimate.n == expected
        decimals = difference.treated.shown.decimals
        text = estimate_html(estimate, decimals, strong=strong, signed=True)
        if estimate.n < expected:
            text += _small(f"({portion(estimate.n, expected)})")
        return number_field(estimate.mean, text)

    found = differences(board.entries, contrast, board.plan.suite)
    blocks = arrange(found, *board.axes)
    return _grids("Paired differences", blocks, board, field) if found else []


def reported(board: Board, found: Sequence[Matched]) -> tuple[list[Grid], list[str]]:
    """Return reported numbers with our distance from them, and the notes that they refer to."""
    blocks = arrange(found, *board.axes)
    decimals = {metric: printed_decimals(own) for metric, own in by_measure(found).items()}
    notes = list(dict.fromkeys(c.reported.note for c in found if c.reported.note))
    best = _best(blocks, lambda matched: matched.reported.mean)

    def field(matched: Matched) -> Field:
        given, places = matched.reported, decimals[matched.shown.metric]
        text = _strong(number(given.mean, places), id(matched) in best)
        if given.spread is not None:
            text += escape(f" ± {number(given.spread, places)}")
        if given.note:
            text += Markup("<sup>{}</sup>").format(notes.index(given.note) + 1)
        if matched.delta is not None:
            shown = f"Δ {number(matched.delta, matched.shown.decimals, signed=True)}"
            if matched.ours.partial:
                shown += f" ({portion(matched.ours.n, matched.ours.expected)})"
            text += _small(shown)
        return number_field(given.mean, text)

    return _grids("Reported numbers", blocks, board, field), notes


def estimate_html(
    estimate: Estimate, decimals: int, *, strong: bool = False, signed: bool = False
) -> Markup:
    """Return ``mean ± half-width`` as HTML, the mean alone for one value, a dash for none."""
    if estimate.n == 0:
        return escape(NOTHING)
    text = _strong(number(estimate.mean, decimals, signed=signed), strong)
    if estimate.half_width is not None:
        text += Markup(' <span class="half">± {}</span>').format(
            number(estimate.half_width, decimals)
        )
    return text


def _grids(
    name: str, blocks: Sequence[Block[E]], board: Board, field: Callable[[E], Field]
) -> list[Grid]:
    rows, column_axis = board.axes
    suite = board.plan.suite
    shared: dict[tuple[Scalar, ...], list[Block[E]]] = {}
    for block in blocks:
        shared.setdefault(block.columns, []).append(block)
    grids = []
    for columns, members in shared.items():
        header = [Column(axis_name(axis)) for axis in rows]
        header += [Column(label(suite, column_axis, c), numeric=True) for c in columns]
        lines = []
        for block in members:
            for row in block.rows:
                values = zip(rows, (*block.key, row), strict=True)
                fields = [axis_field(suite, axis, value) for axis, value in values]
                entries = [block.entries.get((row, column)) for column in columns]
                fields += [Field("", sort="") if e is None else field(e) for e in entries]
                lines.append(Row(fields))
        grids.append(Grid(f"{name}: {suite.title}", header, lines))
    return grids


def axis_field(suite: Suite, axis: str, value: Scalar) -> Field:
    """Return an axis value by its label; a number sorts as one."""
    shown = label(suite, axis, value)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return Field(shown, sort=repr(float(value)) if numeric else None)


def _best(blocks: Sequence[Block[E]], mean: Callable[[E], float | None]) -> set[int]:
    return {
        id(entry)
        for block in blocks
        for column in block.columns
        for entry in best_entries(block.column(column), mean)  # type: ignore[type-var]
    }


def _strong(text: str, strong: bool) -> Markup:
    return Markup("<strong>{}</strong>").format(text) if strong else escape(text)


def _small(text: str) -> Markup:
    return Markup(' <span class="note">{}</span>').format(text)
