"""Whether what a suite shows, in its table and figures, exists and is ever measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.spec.cell import Cell, PlannedCell, sources_in
from bench.spec.claims import At
from bench.spec.figure import Figure
from bench.spec.layers import Layers
from bench.spec.loader import Key
from bench.spec.metrics import (
    Earlier,
    Metric,
    Metrics,
    declared_curves,
    declared_metrics,
    why_lacking,
    with_errors,
    without_source,
)
from bench.spec.parts import Part
from bench.spec.recipe import Scalar
from bench.spec.suite import METRIC, Column, ShownMetric
from bench.spec.work import Task, Work

Values = Mapping[str, set[Scalar]]
Loc = tuple[Key, ...]


class Declarations:
    """What each cell of the table will record, told from the parts it is made of.

    Parameters
    ----------
    cells
        Of a whole plan: what a cell starts from says what its forgetting is measured by.
    """

    def __init__(self, layers: Layers, cells: Iterable[PlannedCell]) -> None:
        self._layers = layers
        self.cells = list(cells)
        self._by_id = {planned.cell.id: planned.cell for planned in self.cells}
        self._known: dict[tuple[int, ...], tuple[Work, Metrics, Metrics]] = {}

    @cached_property
    def distinct(self) -> list[PlannedCell]:
        """The table's cells, one a place: thousands differ in their seed alone."""
        seen: set[int] = set()
        found = []
        for planned in self.cells:
            if planned.shown and id(planned.place) not in seen:
                seen.add(id(planned.place))
                found.append(planned)
        return found

    def metrics_of(self, cell: Cell) -> Metrics:
        """Return what a cell's record will hold as single numbers, derived errors included."""
        return self._of(cell)[1]

    def curves_of(self, cell: Cell) -> Metrics:
        """Return what a cell's record will hold as curves, derived errors included."""
        return self._of(cell)[2]

    @cached_property
    def metrics(self) -> Metrics:
        """What any cell of the table will hold as single numbers."""
        return self._all(self.metrics_of)

    @cached_property
    def curves(self) -> Metrics:
        """What any cell of the table will hold as curves."""
        return self._all(self.curves_of)

    def _all(self, of: Callable[[Cell], Metrics]) -> Metrics:
        found: Metrics = {}
        for planned in self.distinct:
            for name, metric in of(planned.cell).items():
                known = found.setdefault(name, metric)
                if known != metric:
                    raise SpecError(
                        f"{name} is {_sense(known)} for some cells and {_sense(metric)} for others",
                        file=self._layers.file,
                        remedy="give the cells objectives that agree, or two suites",
                    )
        return found

    def _of(self, cell: Cell) -> tuple[Work, Metrics, Metrics]:
        earlier = self._earlier(cell)
        key = (id(cell.work), *map(id, earlier))
        if key not in self._known:
            find = self._layers.part
            self._known[key] = (
                cell.work,
                with_errors(declared_metrics(cell, find, earlier)),
                with_errors(declared_curves(cell, find, earlier)),
            )
        return self._known[key]

    def objective(self, task: Task) -> Part:
        """Return the part that says what is asked of a task."""
        return self._layers.part("objective", task.objective.name)

    def _earlier(self, cell: Cell) -> Earlier:
        if cell.recipe is None or not cell.recipe.forgetting:
            return ()
        return [self._by_id[parent.id].tasks for parent in sources_in(cell.parents).values()]


def _sense(metric: Metric) -> str:
    axis = f" over {metric.axis}" if metric.axis else ""
    return f"in {metric.unit or 'no unit'}{axis}, best where {metric.best},"


def check_table(layers: Layers) -> None:
    """Check the table's shape.

    Raises
    ------
    SpecError
        For rows and columns that are no table.
    """
    table = layers.table
    where = layers.source_of("table")
    if METRIC in layers.axes:
        raise layers.source_of("axes", METRIC).error(
            "is a table's word for its metrics", ("axes", METRIC), "give the axis another name"
        )
    shape = [*table.rows, table.columns]
    if not table.rows or len(set(shape)) != len(shape) or "seed" in shape:
        raise where.error(
            "rows and columns are different axes, at least one row, and never the seed",
            ("table",),
            "the table shows the mean over seeds",
        )


def shown_metrics(layers: Layers, declared: Declarations) -> tuple[ShownMetric, ...]:
    """Return the table's metrics with the units they declare; check that they are measured.

    A warm-up's metrics, and those of one of several tasks or measurements, are shown for the
    cells that have them; one cell with it is enough. So are a penalty's curves in figures.

    Raises
    ------
    SpecError
        For the first metric or curve that nothing has, or that a cell it is shown for never
        records.
    """
    table, shown = layers.table, []
    for index, column in enumerate(table.shown):
        loc: Loc = ("table", "metrics", index, "metric") if table.metrics else ("table", "metric")
        metric = _check_column(column, layers.source_of(*loc), loc, declared)
        shown.append(
            ShownMetric(
                metric=metric.name,
                at=column.at,
                label=column.label,
                unit=metric.unit,
                best=metric.best,
                decimals=column.decimals,
            )
        )
    for index, figure in enumerate(layers.figures):
        drawn = [planned for planned in declared.distinct if figure.selects(planned.place)]
        for panel, written in enumerate(figure.panels):
            loc = ("figures", index, "panels", panel, "curve")
            if figure.kind in ("curves", "points", "trade-off"):
                of_curves = figure.kind != "points"
                source = layers.source_of("figures")
                check_recorded(source, loc, written.curve, declared, drawn, curve=of_curves)
        if figure.over is not None:
            loc = ("figures", index, "over")
            of_curves = figure.kind == "trade-off"
            source = layers.source_of("figures")
            check_recorded(source, loc, figure.over, declared, drawn, curve=of_curves)
            for panel_curve in (panel.curve for panel in figure.panels if of_curves):
                axis, other = (declared.curves[c].axis for c in (figure.over, panel_curve))
                if axis != other:
                    raise source.error(
                        f"{figure.over} runs over {axis}, and {panel_curve} over {other}", loc
                    )
    return tuple(shown)


def _check_column(column: Column, source: Any, loc: Loc, declared: Declarations) -> Metric:
    """Return the metric, or the curve, that a column shows; check that it is measured."""
    at, cells = column.at, declared.distinct
    check_recorded(source, loc, column.metric, declared, cells, curve=at is not None)
    if at is None:
        return declared.metrics[column.metric]
    here = (*loc[:-1], "at")
    if at.curve is not None:
        check_recorded(source, here, at.curve, declared, cells, curve=True)
    check_reading(source, here, column.metric, at, declared)
    return declared.curves[column.metric]


def check_reading(source: Any, loc: Loc, metric: str, at: At, declared: Declarations) -> None:
    """Check that what is taken of a curve is of curves over steps, and of two where it names one.

    Raises
    ------
    SpecError
        If it is not.
    """
    for name in (metric, at.curve):
        if name is not None and declared.curves[name].axis != "step":
            raise source.error(
                f"{name} runs over {declared.curves[name].axis}, and at: names steps",
                loc,
                "let the measurement give the number that is asked for as a metric",
            )
    if at.curve == metric:
        raise source.error(
            f"reads {metric} where it is itself {at.fitted or at.reaches or 0.0:g}",
            loc,
            "name another curve",
        )


def check_recorded(
    source: Any,
    loc: Loc,
    name: str,
    declared: Declarations,
    cells: Iterable[PlannedCell],
    *,
    curve: bool = False,
    remedy: str = "",
    suite: str = "",
) -> None:
    """Check that cells record a metric or curve, or at least one where only some can.

    Raises
    ------
    SpecError
        If none can have it, or one that should does not.
    """
    known = declared.curves if curve else declared.metrics
    word = "curve" if curve else "metric"
    cells = list(cells)
    of = declared.curves_of if curve else declared.metrics_of
    lacking = [p.cell for p in cells if name not in of(p.cell)]
    if not lacking or (_of_some(name) and len(lacking) < len(cells)):
        return
    raiser = source.error
    if name not in known and not _is_asked_for(name, lacking[0], curve, declared):
        raise raiser(f"{name!r} is not a {word}", loc, did_you_mean(name, sorted(known)))
    lack = why_lacking(name, lacking[0], curve=curve)
    there = f" in {suite}" if suite else ""
    raise raiser(f"{name} is never measured{there}: {lack.reason}", loc, lack.remedy + remedy)


def _of_some(name: str) -> bool:
    return name.startswith(("warmup/", "penalty/"))


def _is_asked_for(name: str, cell: Cell, curve: bool, declared: Declarations) -> bool:
    """Whether its work under other settings would record it: then those are what is wrong."""
    if cell.recipe is None:
        return False
    task, _, rest = name.partition("/")
    if task and task in cell.tasks:
        name = rest
    objectives = [declared.objective(each) for each in cell.tasks.values()]
    uses = [task.objective for task in cell.tasks.values()]
    pairs = zip(objectives, uses, strict=True)
    scores = {s for each, use in pairs for s in each.metrics_with(use.settings)}
    splits = ("test", "validation", "train", "source")
    found = {f"{split}/{score}" for split in splits for score in scores}
    found |= {"source/forgotten", "warmup/steps", "warmup/ended", "warmup/drop"}
    if curve:
        found = {f"{s}/{o.score}" for s in ("test", "validation") for o in objectives}
        found |= {f"source/{score}" for score in scores}
        found |= {f"anytime/{s}/{score}" for s in ("test", "source") for score in scores}
        found |= {"anytime/step", "features/distance", "head/norm"}
    parts = name.split("/")
    penalty = parts[0] == "penalty" and (parts[2:] == ["gradient"] or (curve and not parts[2:]))
    return penalty or without_source(name).removesuffix("_error") in found


def check_figures(layers: Layers, everywhere: Values) -> None:
    """Check the axes and values that figures name.

    Raises
    ------
    SpecError
        For the first name that nothing has.
    """
    for index, figure in enumerate(layers.figures):
        here: Loc = ("figures", index)
        _check_figure_axes(layers, figure, here)
        for axis, values in figure.selection().items():
            for value in values:
                if value not in everywhere.get(axis, set()):
                    raise layers.source_of("figures").error(
                        f"{value!r} is not a value of this axis in any profile",
                        (*here, "where", axis),
                        did_you_mean(value, sorted(map(str, everywhere.get(axis, set())))),
                    )


def _check_figure_axes(layers: Layers, figure: Figure, here: Loc) -> None:
    where = layers.source_of("figures")
    given = {"lines": figure.line_axis, "columns": figure.columns, "points": figure.points}
    shape = {key: axis for key, axis in given.items() if axis}
    for key, axis in (*shape.items(), *(("where", axis) for axis in figure.where)):
        if axis == "seed":
            remedy = "`seeds: 1` draws one seed; otherwise the mean over seeds is drawn"
            raise where.error("a figure is not arranged by the seed", (*here, key), remedy)
        if axis not in layers.axes:
            near = did_you_mean(axis, layers.axes)
            raise where.error(f"{axis!r} is not an axis", (*here, key), near)
    if figure.columns is not None and figure.columns == figure.line_axis:
        raise where.error("lines and columns are different axes", (*here, "columns"))
    if figure.points in (figure.lines, figure.columns) and figure.points is not None:
        raise where.error("points are of another axis than lines and columns", (*here, "points"))
    if figure.points is not None and figure.over is None:
        words = [v for v in layers.axes[figure.points] if isinstance(v, str | bool)]
        if words:
            raise where.error(
                f"{words[0]!r} is no number, and points stand over this axis's values",
                (*here, "points"),
                "say over which metric they stand (over:)",
            )
