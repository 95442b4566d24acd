"""The page that lists a suite's cells: axes, state, the table's metrics, the way to each."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report.aggregate import unit_scale
from bench.report.frame import cell_state, metric_value
from bench.report.numbers import NOTHING, number
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.site.tables import axis_field
from bench.report.site.track import Track, place_of
from bench.report.tables.layout import axis_name, measure_label
from bench.spec.cell import PlannedCell


def cell_list(track: Track, linked: Mapping[str, str]) -> Grid:
    """Return a suite's cells, in the plan's order, those that others start from last.

    Parameters
    ----------
    linked
        Cell id to its page, of the cells that have one.
    """
    suite = track.plan.suite
    shown = [planned for planned in track.plan.cells if planned.labels]
    others = {p.cell.id: p for p in track.plan.cells if not p.labels}
    columns = [Column("cell"), Column("state"), *(Column(axis_name(a)) for a in track.varying)]
    columns += [Column(measure_label(suite, m.metric), numeric=True) for m in suite.table.measures]
    columns.append(Column("seconds", numeric=True))
    rows, seen = [], set()
    for planned in (*shown, *others.values()):
        place = track.places[place_of(planned.labels)] if planned.labels else None
        fields = _fields(planned, track, linked)
        rows.append(Row(fields, place=place, first=place not in seen and place is not None))
        seen.add(place)
    return Grid(f"Cells: {suite.title}", columns, rows)


def _fields(planned: PlannedCell, track: Track, linked: Mapping[str, str]) -> list[Field]:
    cell_id, suite = planned.cell.id, track.plan.suite
    state = cell_state(cell_id, track.records, track.states)
    fields = [
        Field(cell_id, link=linked.get(cell_id), kind="id"),
        Field(state, kind=f"badge {state}"),
    ]
    for axis in track.varying:
        if axis in planned.labels:
            fields.append(axis_field(suite, axis, planned.labels[axis]))
        else:
            kind = "source training" if planned.cell.kind == "train" else planned.cell.kind
            fields.append(Field(f"({kind})" if axis == track.varying[0] else "", sort=""))
    record = track.records.get(cell_id)
    for measure in suite.table.measures:
        value = metric_value(record.outcome.metrics, measure.metric) if record else None
        scaled = None if value is None else value * unit_scale(measure)
        text = NOTHING if scaled is None else number(scaled, measure.decimals)
        fields.append(number_field(scaled, text))
    seconds = record.seconds if record else None
    fields.append(number_field(seconds, NOTHING if seconds is None else f"{seconds:,.1f}"))
    return fields
