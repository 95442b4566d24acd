"""Whether what a suite shows, in its table and figures, exists and is ever measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bench.errors import did_you_mean
from bench.spec import metrics
from bench.spec.cell import Method, PlannedCell, Scalar
from bench.spec.figure import Figure
from bench.spec.layers import Layers
from bench.spec.loader import Key
from bench.spec.recipe import Recipe
from bench.spec.suite import METRIC

Values = Mapping[str, set[Scalar]]
Loc = tuple[Key, ...]
Lacking = Callable[[str, Recipe, Method | None], metrics.Lack | None]


def check_table(layers: Layers) -> None:
    """Check the table's metrics and shape.

    Raises
    ------
    SpecError
        For a metric that is none, or rows and columns that are no table.
    """
    table = layers.table
    where = layers.source_of("table")
    if METRIC in layers.axes:
        raise layers.source_of("axes", METRIC).error(
            "is a table's word for its metrics", ("axes", METRIC), "give the axis another name"
        )
    for name, loc in _table_metrics(layers):
        if not metrics.is_metric(name):
            near = did_you_mean(name, metrics.METRICS)
            raise layers.source_of(*loc).error(f"{name!r} is not a metric", loc, near)
    shape = [*table.rows, table.columns]
    if not table.rows or len(set(shape)) != len(shape) or "seed" in shape:
        raise where.error(
            "rows and columns are different axes, at least one row, and never the seed",
            ("table",),
            "the table shows the mean over seeds",
        )


def check_figures(layers: Layers, everywhere: Values) -> None:
    """Check the axes, values and curves that figures name.

    Raises
    ------
    SpecError
        For the first name that nothing has.
    """
    for index, figure in enumerate(layers.figures):
        here: Loc = ("figures", index)
        for panel, written in enumerate(figure.panels):
            if not metrics.is_curve(written.curve):
                raise layers.source_of("figures").error(
                    f"{written.curve!r} is not a curve",
                    (*here, "panels", panel, "curve"),
                    did_you_mean(written.curve, [*metrics.CURVES, "penalty/NAME"]),
                )
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
    shape = {"lines": figure.lines, **({"columns": figure.columns} if figure.columns else {})}
    for key, axis in (*shape.items(), *(("where", axis) for axis in figure.where)):
        if axis == "seed":
            remedy = "`seeds: 1` draws one seed; otherwise the mean over seeds is drawn"
            raise where.error("a figure is not arranged by the seed", (*here, key), remedy)
        if axis not in layers.axes:
            near = did_you_mean(axis, layers.axes)
            raise where.error(f"{axis!r} is not an axis", (*here, key), near)
    if figure.lines == figure.columns:
        raise where.error("lines and columns are different axes", (*here, "columns"))


def check_measured(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check that the cells shown measure the table's metrics and the figures' curves.

    A warm-up's metrics, and a penalty's curve, are shown for the methods that have it; one cell
    with it is enough.

    Raises
    ------
    SpecError
        For the first metric or curve that a cell it is shown for never records.
    """
    recipes = list(_distinct(cells))
    for name, loc in _table_metrics(layers):
        _check_lacks(layers, name, loc, metrics.metric_lack, recipes)
    for index, figure in enumerate(layers.figures):
        drawn = [entry for entry in recipes if figure.selects(entry[0])]
        for panel, written in enumerate(figure.panels):
            loc = ("figures", index, "panels", panel, "curve")
            _check_lacks(layers, written.curve, loc, metrics.curve_lack, drawn)


Trained = tuple[Mapping[str, Scalar], Recipe, Method | None]


def _check_lacks(
    layers: Layers, name: str, loc: Loc, lacking: Lacking, trained: list[Trained]
) -> None:
    lacks = [lacking(name, recipe, method) for _, recipe, method in trained]
    found = next((lack for lack in lacks if lack is not None), None)
    of_some_methods = name.startswith(("warmup/", "penalty/"))
    if found is None or (of_some_methods and None in lacks):
        return
    raise layers.source_of(*loc).error(
        f"{name} is never measured: {found.reason}", loc, found.remedy
    )


def _distinct(cells: Iterable[PlannedCell]) -> Iterator[Trained]:
    # Thousands of cells share a recipe and differ in their seed alone.
    seen: set[tuple[object, ...]] = set()
    for planned in cells:
        recipe, method = planned.cell.recipe, planned.cell.method
        if not planned.labels or not isinstance(recipe, Recipe):
            continue
        place = tuple(v for axis, v in planned.labels.items() if axis != "seed")
        if (place, id(recipe), id(method)) not in seen:
            seen.add((place, id(recipe), id(method)))
            yield planned.labels, recipe, method


def _table_metrics(layers: Layers) -> Iterator[tuple[str, Loc]]:
    for index, measure in enumerate(layers.table.metrics):
        yield measure.metric, ("table", "metrics", index, "metric")
    if not layers.table.metrics:
        yield layers.table.metric, ("table", "metric")
