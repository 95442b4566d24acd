"""The page that lists a suite's cells: axes, state, the table's metrics, the way to each."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report.numbers import NOTHING, number
from bench.report.results import place_key, seed_of
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.site.tables import axis_field
from bench.report.site.track import Track
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
    others = {planned.cell.id: planned for planned in track.plan.behind}
    columns = [Column("cell"), Column("state"), *(Column(axis_name(a)) for a in track.varying)]
    columns += [Column(measure_label(suite, m.name), numeric=True) for m in suite.metrics]
    columns.append(Column("seconds", numeric=True))
    rows, seen = [], set()
    for planned in (*track.plan.shown, *others.values()):
        place = track.numbers[place_key(planned.labels)] if planned.shown else None
        fields = _fields(planned, track, linked)
        rows.append(Row(fields, place=place, first=place not in seen and place is not None))
        seen.add(place)
    return Grid(f"Cells: {suite.title}", columns, rows)


def _fields(planned: PlannedCell, track: Track, linked: Mapping[str, str]) -> list[Field]:
    cell_id, suite = planned.cell.id, track.plan.suite
    state = track.results.state(cell_id)
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
    for shown in suite.metrics:
        value = track.results.entry([planned], shown).values.get(seed_of(planned))
        text = NOTHING if value is None else number(value, shown.decimals)
        fields.append(number_field(value, text))
    seconds = record.seconds if record else None
    fields.append(number_field(seconds, NOTHING if seconds is None else f"{seconds:,.1f}"))
    return fields
