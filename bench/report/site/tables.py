"""A suite's tables for the site, from the same entries as the leaderboard's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from bench.report.results import E, Entry, arrange
from bench.report.sections import Board
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.tables.contrasts import Difference, contrast_grids
from bench.report.tables.grid import Grid as EntryGrid
from bench.report.tables.grid import Span, Style
from bench.report.tables.layout import axis_name, label, results_grids
from bench.report.tables.reported import Matched, reported_grids
from bench.spec.recipe import Scalar
from bench.spec.suite import Suite

Link = Callable[[Entry], str]
_HTML: Mapping[Style, Markup] = {
    "plain": Markup("{}"),
    "strong": Markup("<strong>{}</strong>"),
    "half": Markup(' <span class="half">{}</span>'),
    "note": Markup(' <span class="note">{}</span>'),
    "delta": Markup(' <span class="note">{}</span>'),
    "mark": Markup("<sup>{}</sup>"),
}


def results(board: Board, link: Link) -> list[Grid]:
    """Return our numbers; each links to the seeds that it is the mean of."""
    return _grids("Results", results_grids(board.blocks, board.axes), board.plan.suite, link)


def contrasts(board: Board, found: Sequence[Difference]) -> list[Grid]:
    """Return the paired differences."""
    made = contrast_grids(arrange(found, *board.axes), board.axes)
    return _grids("Paired differences", made, board.plan.suite)


def reported(board: Board, found: Sequence[Matched]) -> tuple[list[Grid], list[str]]:
    """Return reported numbers with our distance from them, and the notes that they refer to."""
    made, notes = reported_grids(arrange(found, *board.axes), board.axes)
    return _grids("Reported numbers", made, board.plan.suite), notes


def spans_html(spans: Sequence[Span]) -> Markup:
    """Return a field's spans as HTML."""
    return Markup().join(_HTML[span.style].format(span.text) for span in spans)


def _grids(
    name: str,
    found: Sequence[EntryGrid[E]],
    suite: Suite,
    link: Callable[[E], str] | None = None,
) -> list[Grid]:
    made = []
    for grid in found:
        header = [Column(axis_name(axis)) for axis in grid.rows]
        header += [Column(label(suite, grid.column, c), numeric=True) for c in grid.columns]
        rows = []
        for line in grid.lines:
            values = zip(grid.rows, line.values, strict=True)
            fields = [axis_field(suite, axis, value) for axis, value in values]
            fields += [
                Field("", sort="") if f is None
                else number_field(f.number, spans_html(f.spans), link(f.entry) if link else None)
                for f in line.fields
            ]  # fmt: skip
            rows.append(Row(fields))
        made.append(Grid(f"{name}: {suite.title}", header, rows))
    return made


def axis_field(suite: Suite, axis: str, value: Scalar) -> Field:
    """Return an axis value by its label; a number sorts as one."""
    shown = label(suite, axis, value)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return Field(shown, sort=repr(float(value)) if numeric else None)
