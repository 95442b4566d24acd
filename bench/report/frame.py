"""Every planned cell as one row of a data frame: what all tables, figures and CSVs are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd

from bench.errors import SpecError, did_you_mean
from bench.records.record import Record
from bench.spec.expand import Plan
from bench.spec.metrics import complement_of

CELL, STATE = "cell", "state"


class State(Protocol):
    """What the store knows of a cell: its state's name, and why it is stale."""

    @property
    def state(self) -> str:
        """One of ``done``, ``stale``, ``failed``, ``running``, ``missing``."""

    @property
    def reasons(self) -> Iterable[str]:
        """Why a stale record may not be used."""


def cell_state(cell_id: str, records: Mapping[str, Record], states: Mapping[str, State]) -> str:
    """Return a cell's state for the report: ``done`` exactly if it has a record to show."""
    if cell_id in records:
        return "done"
    known = states[cell_id].state if cell_id in states else "missing"
    return "missing" if known == "done" else known


def metric_value(metrics: Mapping[str, float], name: str) -> float | None:
    """Return a record's metric, recorded or derived; None where it has neither.

    >>> metric_value({"test/top1": 0.75}, "test/top1_error")
    0.25
    """
    if name in metrics:
        return metrics[name]
    base = complement_of(name)
    return 1.0 - metrics[base] if base is not None and base in metrics else None


def cell_frame(
    plan: Plan,
    records: Mapping[str, Record],
    states: Mapping[str, State],
    also: Iterable[str] = (),
) -> pd.DataFrame:
    """Return one row for each labelled cell, in the plan's order.

    Parameters
    ----------
    also
        Metrics that are wanted beside the table's; of the derived ones only those wanted have
        a column.

    Returns
    -------
    DataFrame
        Columns: the suite's axes, ``cell`` (id), ``state``, then every metric of the records,
        sorted by name (float64; NaN where a cell has no record or its record no such metric).

    Raises
    ------
    SpecError
        If there are records and none of them has a metric of the table.
    """
    shown = [planned for planned in plan.cells if planned.labels]
    ids = [planned.cell.id for planned in shown]
    columns: dict[str, pd.Series] = {
        axis: pd.Series([p.labels.get(axis) for p in shown], dtype=object)
        for axis in plan.suite.axes
    }
    columns[CELL] = pd.Series(ids, dtype=object)
    columns[STATE] = pd.Series([cell_state(i, records, states) for i in ids], dtype=object)
    used = [records.get(i) for i in ids]
    metrics = {name for record in used if record for name in record.outcome.metrics}
    wanted = [measure.metric for measure in plan.suite.table.measures]
    metrics |= {name for name in (*wanted, *also) if complement_of(name) in metrics}
    _check_metrics(plan, wanted, sorted(metrics))
    for name in sorted(metrics):
        values = [metric_value(record.outcome.metrics, name) if record else None for record in used]
        columns[name] = pd.Series(values, dtype="float64")
    return pd.DataFrame(columns)


def frame_csv(frame: pd.DataFrame) -> str:
    """Return the frame as CSV: one row a cell, shortest exact decimals, absent values empty."""
    return frame.to_csv(index=False, lineterminator="\n")


def _check_metrics(plan: Plan, wanted: Iterable[str], metrics: list[str]) -> None:
    for name in wanted:
        if metrics and name not in metrics:
            raise SpecError(
                f"no record has the metric {name!r}",
                file=plan.file,
                field="table.metric",
                remedy=did_you_mean(name, metrics),
            )
