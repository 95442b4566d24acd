"""Every planned cell as one row of a data frame: the CSV beside a page, written and read again."""

from __future__ import annotations

from io import StringIO

import pandas as pd

from bench.errors import UserError
from bench.report.crossing import Undefined
from bench.report.results import Results
from bench.report.values import metric_value, record_value
from bench.spec.metrics import complement_of

CELL, STATE = "cell", "state"


def cell_frame(results: Results) -> pd.DataFrame:
    """Return one row for each cell of a plan's table, in the plan's order.

    Returns
    -------
    DataFrame
        Columns: the suite's axes, the seed among them; ``cell`` (id); ``state``; then every metric
        of the records, sorted by name (float64; NaN where a cell has no record or its record no
        such metric). Derived metrics are among them only where the table shows them; and after
        all, under their names, what the table shows of curves (NaN where it is undefined), scaled
        as the records' metrics are.
    """
    shown = results.plan.shown
    ids = [planned.cell.id for planned in shown]
    columns = {
        axis: pd.Series([planned.labels.get(axis) for planned in shown], dtype=object)
        for axis in results.plan.suite.axes
    }
    columns[CELL] = pd.Series(ids, dtype=object)
    columns[STATE] = pd.Series([results.state(i) for i in ids], dtype=object)
    metrics = set(results.metrics)
    plain = [shown.metric for shown in results.plan.suite.metrics if shown.at is None]
    metrics |= {name for name in plain if complement_of(name) in metrics}
    records = [results.records.get(i) for i in ids]
    own = [{} if record is None else record.outcome.metrics for record in records]
    for name in sorted(metrics):
        columns[name] = pd.Series([metric_value(each, name) for each in own], dtype="float64")
    for measure in (m for m in results.plan.suite.metrics if m.at is not None):
        taken = [r and record_value(r, measure, results.plan.curves) for r in records]
        known = [None if isinstance(value, Undefined) else value for value in taken]
        columns[measure.name] = pd.Series(known, dtype="float64")
    return pd.DataFrame(columns)


def frame_axes(frame: pd.DataFrame) -> list[str]:
    """Return the axes of a frame of cells, the seed among them."""
    return list(frame.columns[: list(frame.columns).index(CELL)])


def frame_metrics(frame: pd.DataFrame) -> list[str]:
    """Return the metrics of a frame of cells."""
    return list(frame.columns[list(frame.columns).index(STATE) + 1 :])


def frame_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV: shortest exact decimals, absent values empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def read_frame(text: str, name: str) -> pd.DataFrame:
    """Return the frame of cells of which :func:`frame_csv` made a text, axis values as text.

    Raises
    ------
    UserError
        If it is no such text.
    """
    try:
        # Python's engine alone tells a value that is missing from one that is empty.
        frame = pd.read_csv(StringIO(text), dtype=object, keep_default_na=False, engine="python")
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    except pd.errors.ParserError as error:
        raise UserError(f"is not a CSV: {error}", file=name) from None
    # What a first row has too many of would be the index.
    if not isinstance(frame.index, pd.RangeIndex) or frame.isna().to_numpy().any():
        raise UserError("is not a CSV: its rows are not as long as its header", file=name)
    columns = list(frame.columns)
    if CELL not in columns or columns[columns.index(CELL) + 1 :][:1] != [STATE]:
        raise UserError(
            "is not a leaderboard's CSV: it has no columns cell, state",
            file=name,
            remedy="`bench report` writes it beside the page, one row a cell",
        )
    for metric in frame_metrics(frame):
        written = frame[metric]
        is_number = pd.to_numeric(written, errors="coerce").notna()
        # The numbers of to_numeric itself are wrong in the last digit before pandas 3.
        frame[metric] = written[is_number].astype("float64")
    return frame
