"""Points of single numbers: a metric over the values of an axis, or over another metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.report import markdown
from bench.report.figures.curve_figure import line_label
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.pictures import COLUMNS
from bench.report.figures.scales import scale_values
from bench.report.figures.style import SETTINGS, LineStyle, line_styles, plain, svg_text
from bench.report.numbers import compact, portion
from bench.report.results import Results, varying_axes
from bench.report.tables.layout import axis_name, label
from bench.spec.cell import PlannedCell, Scalar
from bench.spec.figure import Figure, Panel
from bench.spec.plan import Plan
from bench.spec.suite import ShownMetric
from bench.stats.intervals import Estimate


@dataclass(frozen=True)
class Point:
    """One place: where it stands from left to right, and each panel's mean over seeds.

    Attributes
    ----------
    at
        The value of the axis, or the mean of the metric that the figure is over, as shown.
    estimates
        Metric to mean and 95% interval (Student's t), in the metric's unit.
    n, expected
        How many seeds it is of, and how many are planned.
    """

    where: Mapping[str, Scalar]
    at: float
    estimates: Mapping[str, Estimate]
    n: int
    expected: int


def draw_points(results: Results, figure: Figure) -> Drawn:
    """Return a figure's points: a picture for each value of every axis that it does not name.

    Panels name metrics. Points are means over seeds with their 95% intervals, joined by a line
    where they stand over the values of an axis.
    """
    plan = results.plan
    found = [*_points(results, figure)]
    if not found:
        return Drawn((), nothing_drawn(figure, plan, "these metrics"))
    named = (figure.lines, figure.columns, figure.points)
    key = [
        axis
        for axis in varying_axes(plan)
        if axis not in named and len({point.where[axis] for point in found}) > 1
    ]
    pictures: dict[tuple[Scalar, ...], list[Point]] = {}
    for point in found:
        pictures.setdefault(tuple(point.where[axis] for axis in key), []).append(point)
    svgs = [
        _svg(chunk, figure, plan, key)
        for group in pictures.values()
        for chunk in _chunks(group, figure)
    ]
    return Drawn(tuple(svgs), _caption(found, figure, plan))


def _points(results: Results, figure: Figure) -> Iterator[Point]:
    plan = results.plan
    for cells in results.places.values():
        if not figure.selects(cells[0].place):
            continue
        at = _at(results, figure, cells)
        entries = {
            panel.curve: results.entry(cells, _shown(plan, panel.curve)) for panel in figure.panels
        }
        measured = {name: entry.estimate for name, entry in entries.items() if entry.n}
        if at is not None and measured:
            n = min(entries[name].n for name in measured)
            yield Point(cells[0].place, at, measured, n, len(cells))


def _at(results: Results, figure: Figure, cells: Sequence[PlannedCell]) -> float | None:
    assert figure.points is not None
    if figure.over is None:
        return float(cells[0].place[figure.points])
    entry = results.entry(cells, _shown(results.plan, figure.over))
    return entry.estimate.mean if entry.n else None


def _shown(plan: Plan, metric: str) -> ShownMetric:
    declared = plan.metrics.get(metric)
    return ShownMetric(metric=metric, unit=declared.unit if declared else "")


def _chunks(points: list[Point], figure: Figure) -> Iterator[list[Point]]:
    axis = figure.columns
    if axis is None:
        yield points
        return
    values = list(dict.fromkeys(point.where[axis] for point in points))
    for first in range(0, len(values), COLUMNS):
        yield [p for p in points if p.where[axis] in values[first : first + COLUMNS]]


def _svg(points: Sequence[Point], figure: Figure, plan: Plan, key: Sequence[str]) -> str:
    columns = (
        [None] if figure.columns is None
        else list(dict.fromkeys(point.where[figure.columns] for point in points))
    )  # fmt: skip
    lines = list(dict.fromkeys(point.where[figure.lines] for point in points))
    styles = line_styles(lines, figure.lines, None)
    with rc_context(SETTINGS):
        across, down = len(columns), len(figure.panels)
        canvas = Canvas(
            figsize=(max(3.3 * across, 3.6) + 2.6, 2.6 * down + 0.4),
            facecolor="white",
            layout="constrained",
        )
        FigureCanvasSVG(canvas)
        grid = canvas.subplots(down, across, squeeze=False, sharex="col")
        legend: dict[str, Any] = {}
        for row, panel in enumerate(figure.panels):
            for column, value in enumerate(columns):
                own = [p for p in points if value is None or p.where[str(figure.columns)] == value]
                handles = _panel(grid[row][column], panel, own, figure, plan, styles)
                for line, handle in handles.items():
                    legend.setdefault(plain(line_label(figure, plan.suite, line)), handle)
                if column == 0:
                    unit = _shown(plan, panel.curve).unit
                    shown = f" ({unit})" if unit else ""
                    grid[row][column].set_ylabel(plain(f"{panel.label or panel.curve}{shown}"))
                if row == 0 and value is not None:
                    named = label(plan.suite, str(figure.columns), value)
                    grid[row][column].set_title(plain(named))
                if row == down - 1:
                    _scale_across(grid[row][column], own, figure)
        if key:
            title = ", ".join(label(plan.suite, axis, points[0].where[axis]) for axis in key)
            canvas.suptitle(plain(title))
        canvas.legend(legend.values(), legend.keys(), loc="outside right upper")
        return svg_text(canvas)


def _panel(
    axes: Any,
    panel: Panel,
    points: Sequence[Point],
    figure: Figure,
    plan: Plan,
    styles: Mapping[Scalar, LineStyle],
) -> dict[Scalar, Any]:
    handles: dict[Scalar, Any] = {}
    drawn = []
    for line, style in styles.items():
        own = [p for p in points if p.where[figure.lines] == line and panel.curve in p.estimates]
        if not own:
            continue
        own.sort(key=lambda point: point.at)
        estimates = [point.estimates[panel.curve] for point in own]
        means = np.array([estimate.mean for estimate in estimates])
        halves = np.array([estimate.half_width or 0.0 for estimate in estimates])
        look = style.line() | ({"linestyle": "none"} if figure.over is not None else {})
        at = [point.at for point in own]
        handles[line] = axes.errorbar(at, means, yerr=halves, capsize=2, elinewidth=0.8, **look)
        drawn.append(np.stack([means, means - halves, means + halves]))
    scale_values(axes, panel.scale, _shown(plan, panel.curve).unit, drawn)
    return handles


def _scale_across(axes: Any, points: Sequence[Point], figure: Figure) -> None:
    axes.set_xlabel(plain(figure.over or axis_name(str(figure.points))))
    values = sorted({point.at for point in points})
    # Within a decade a logarithmic axis has hardly a tick.
    near = figure.over is not None and bool(values) and values[-1] < 10 * values[0]
    if figure.steps == "log" and values and values[0] > 0 and not near:
        axes.set_xscale("log")
        axes.set_xlim(values[0] / 1.5, values[-1] * 1.5)
        few = figure.over is None and len(values) <= 8
        axes.xaxis.set_major_locator(FixedLocator(values) if few else LogLocator())
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))


def _caption(found: Sequence[Point], figure: Figure, plan: Plan) -> str:
    numbers = sorted({point.n for point in found})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    texts = [f"Points: means over seeds, n = {n}"]
    texts[0] += "; bars: 95% intervals (Student's t)." if numbers[-1] > 1 else "."
    if figure.over is not None:
        texts.append(f"A point for each value of {axis_name(str(figure.points))}.")
    partial = [
        f"{markdown.escape(label(plan.suite, figure.lines, point.where[figure.lines]))} "
        f"({portion(point.n, point.expected)})"
        for point in found
        if point.n < point.expected
    ]
    if partial:
        texts.append(f"**Partial**, seeds are missing: {', '.join(dict.fromkeys(partial))}.")
    return arranged(figure) + " ".join(texts)
