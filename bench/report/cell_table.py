"""Every planned cell as one row: the CSV beside a page, written here and read again."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from bench.errors import UserError
from bench.report.results import Results
from bench.report.values import metric_value
from bench.spec.cell import SEED
from bench.spec.metrics import complement_of
from bench.spec.recipe import Scalar

_CELL, _STATE = "cell", "state"


@dataclass(frozen=True)
class CellRow:
    """One cell; a metric that its record lacks is NaN, as is each without a record."""

    labels: Mapping[str, Scalar | None]
    cell: str
    state: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class CellTable:
    """The cells of a suite's table in the plan's order.

    Attributes
    ----------
    axes
        The suite's axes, the seed among them.
    metrics
        Every metric of the records, and what the table derives of them, sorted by name.
    """

    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[CellRow, ...]

    @property
    def place_axes(self) -> list[str]:
        """The axes without the seed."""
        return [axis for axis in self.axes if axis != SEED]

    def csv(self) -> str:
        """Return one row a cell, shortest exact decimals, absent values empty."""
        rows = (
            [
                *(row.labels[axis] for axis in self.axes),
                row.cell,
                row.state,
                *(row.metrics[name] for name in self.metrics),
            ]
            for row in self.rows
        )
        return csv_text([*self.axes, _CELL, _STATE, *self.metrics], rows)


def cell_table(results: Results) -> CellTable:
    """Return the cells of a plan's table; derived metrics only where the table shows them."""
    metrics = set(results.metrics)
    wanted = (shown.metric for shown in results.plan.suite.metrics)
    metrics |= {name for name in wanted if complement_of(name) in metrics}
    names, axes = tuple(sorted(metrics)), results.plan.suite.axes
    rows = []
    for planned in results.plan.shown:
        record = results.records.get(planned.cell.id)
        own = record.outcome.metrics if record is not None else {}
        values = {name: metric_value(own, name) for name in names}
        rows.append(
            CellRow(
                {axis: planned.labels.get(axis) for axis in axes},
                planned.cell.id,
                results.state(planned.cell.id),
                {name: math.nan if v is None else v for name, v in values.items()},
            )
        )
    return CellTable(axes, names, tuple(rows))


def read_cell_table(text: str, name: str) -> CellTable:
    """Return what :meth:`CellTable.csv` wrote, axis values as text.

    Raises
    ------
    UserError
        If it is no such table.
    """
    header, *lines = [line for line in csv.reader(StringIO(text)) if line] or [[]]
    if any(len(line) != len(header) for line in lines):
        raise UserError("is not a CSV: its rows are not as long as its header", file=name)
    if _CELL not in header or header[header.index(_CELL) + 1 :][:1] != [_STATE]:
        raise UserError(
            "is not a leaderboard's CSV: it has no columns cell, state",
            file=name,
            remedy="`bench report` writes it beside the page, one row a cell",
        )
    at = header.index(_CELL)
    axes, metrics = tuple(header[:at]), tuple(header[at + 2 :])
    rows = (
        CellRow(
            dict(zip(axes, line[:at], strict=True)),
            line[at],
            line[at + 1],
            dict(zip(metrics, map(_number, line[at + 2 :]), strict=True)),
        )
        for line in lines
    )
    return CellTable(axes, metrics, tuple(rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; None and NaN are empty."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    # A value that is not itself is NaN.
    writer.writerows([None if value != value else value for value in row] for row in rows)
    return out.getvalue()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
