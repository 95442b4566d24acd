"""A picture of curves in SVG: panels below each other, lines with bands, the legend outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from bench.report.figures.bands import Band
from bench.report.figures.pictures import Picture
from bench.report.figures.scales import axis_label, counts, scale_points, scale_values
from bench.report.figures.style import COLOURS, SETTINGS, line_styles, plain, svg_text
from bench.report.figures.thinning import extremes
from bench.report.numbers import compact
from bench.report.tables.layout import given_label, label
from bench.report.values import unit_scale
from bench.spec.cell import Scalar
from bench.spec.figure import Figure, Panel
from bench.spec.plan import Plan
from bench.spec.suite import Suite

# With more values of a numeric axis than this, their order shows better than each by itself.
CATEGORIES = 5
STEP = "step"
POINTS = 400
_DASHES = ("-", ":", "-.")
_REGION = "#57606a"


def curve_svg(picture: Picture, plan: Plan) -> str:
    """Return a picture as SVG, the same bytes for the same numbers."""
    with rc_context(SETTINGS):
        return svg_text(_draw(picture, plan))


def points_scale(figure: Figure, bands: Sequence[Band]) -> str:
    """Return the scale of what bands run over: another axis than steps is linear if not asked.

    So is one that goes below 0, where a logarithm has no place.
    """
    asked = "steps" in figure.model_fields_set
    if any(band.at[0] < 0 or not (asked or band.axis == STEP) for band in bands):
        return "linear"
    return figure.steps


def line_label(figure: Figure, suite: Suite, value: Scalar) -> str:
    """Return how a line is named: the suite's label, ``σ = 1e-3`` for a number, or itself."""
    axis = figure.lines
    if given_label(suite, axis, value) is None and _is_number(value) and axis != "sampling_rate":
        symbol = figure.symbol or axis.rpartition(".")[2].replace("_", " ")
        return f"{symbol} = {compact(float(value))}"
    return label(suite, axis, value)


def _draw(picture: Picture, plan: Plan) -> Canvas:
    suite = plan.suite
    figure, lines = picture.figure, picture.lines()
    ordered = _is_ordered(lines)
    beside = ordered or len(picture.columns) == 1
    across, down = len(picture.columns), len(figure.panels)
    width = max(3.3 * across, 5.0) + (1.4 if beside else 0)
    canvas = Canvas(
        figsize=(width, 2.1 * down + (0.4 if beside else 0.8)),
        facecolor="white",
        layout="constrained",
    )
    FigureCanvasSVG(canvas)
    grid = canvas.subplots(down, across, squeeze=False, sharex="col")
    styles = curve_styles(lines, picture, suite)
    over = next((band.axis for band in picture.bands), STEP)
    whole = counts(point for band in picture.bands for point in band.at)
    legend: dict[str, Any] = {}
    for row, panel in enumerate(figure.panels):
        unit = plan.curves[panel.curve].unit if panel.curve in plan.curves else ""
        for column, value in enumerate(picture.columns):
            axes = grid[row][column]
            drawn = _panel(axes, panel, picture.panel(panel.curve, value), figure, styles, unit)
            for line, handle in drawn.items():
                legend.setdefault(plain(legend_label(picture, suite, line)), handle)
            if row == 0:
                axes.set_title(plain(panel_title(picture, suite, value)))
            if row == down - 1:
                # All panels of a column have one axis.
                axes.set_xlabel(plain(axis_label(over)))
                scale_points(axes, points_scale(figure, picture.bands), whole=whole)
            if column == 0:
                shown = f" ({unit})" if unit else ""
                axes.set_ylabel(plain(f"{panel.label or panel.curve}{shown}"))
    if beside:
        canvas.legend(legend.values(), legend.keys(), loc="outside right upper")
    else:
        columns = min(2 * across, len(legend), _entries_across(width, legend))
        canvas.set_figheight(canvas.get_figheight() + 0.2 * (-(-len(legend) // columns) - 1))
        canvas.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=columns)
    canvas.align_ylabels()
    return canvas


def _entries_across(width: float, labels: Iterable[str]) -> int:
    # At 9 points a letter is some 0.08 inches wide, and a line with its gaps 0.7.
    return max(1, int(width / (0.7 + 0.08 * max(map(len, labels)))))


def legend_label(picture: Picture, suite: Suite, line: Scalar) -> str:
    """Return how a line is named in the legend, marked where seeds are missing."""
    axis = picture.figure.lines
    partial = any(band.partial for band in picture.bands if band.where[axis] == line)
    return line_label(picture.figure, suite, line) + (" (partial)" if partial else "")


def panel_title(picture: Picture, suite: Suite, column: Scalar | None) -> str:
    """Return what stands over a column: the picture's own axis values, and the column's."""
    names = [label(suite, axis, value) for axis, value in picture.key.items()]
    if picture.figure.columns is not None and column is not None:
        names.append(label(suite, picture.figure.columns, column))
    return ", ".join(names)


def _panel(
    axes: Any,
    panel: Panel,
    bands: Sequence[Band],
    figure: Figure,
    styles: Mapping[Scalar, Mapping[str, Any]],
    unit: str,
) -> dict[Scalar, Any]:
    handles: dict[Scalar, Any] = {}
    drawn: list[NDArray[np.float64]] = []
    for band in bands:
        points = _points(
            band,
            panel.scale,
            unit_scale(unit),
            logarithmic=points_scale(figure, [band]) == "log",
        )
        if not points.size:
            continue
        steps, mean, low, high = points
        line = band.where[figure.lines]
        style = dict(styles[line])
        if len(steps) == 1:
            style["marker"] = "o"
        (handle,) = axes.plot(steps, mean, **style)
        handles.setdefault(line, handle)
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.15, linewidth=0)
        drawn.append(points)
    scale_values(axes, panel.scale, unit, [points[1:] for points in drawn])
    if figure.region is not None:
        _mark(axes, *figure.region)
    return handles


def _mark(axes: Any, low: float, high: float) -> None:
    axes.axvspan(low, high, color=_REGION, alpha=0.12, linewidth=0, zorder=0)
    for end in (low, high):
        axes.axvline(end, color=_REGION, linewidth=0.8, linestyle="--", zorder=1)


def _points(band: Band, values: str, factor: float, *, logarithmic: bool) -> NDArray[np.float64]:
    """Return ``(4, points)``: step, mean, low, high as drawn; without a band all three alike."""
    rows = []
    for i in band.common:
        estimate = band.estimates[i]
        half = estimate.half_width or 0.0
        mean = factor * estimate.mean
        if np.isfinite(mean) and not (values == "log" and mean <= 0):
            rows.append((band.at[i], mean, mean - factor * half, mean + factor * half))
    points = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    if points.shape[1] <= POINTS:
        return points
    place = np.log1p(points[0]) if logarithmic else points[0]
    return points[:, extremes(place, points[1], POINTS)]


def curve_styles(
    lines: Sequence[Scalar], picture: Picture, suite: Suite
) -> dict[Scalar, dict[str, Any]]:
    """Return each line's colour, dashes and width; many numbers are coloured in their order."""
    width = 1.0 if picture.figure.seeds and picture.figure.seeds > 1 else 1.5
    if _is_ordered(lines):
        ranks = sorted(lines, key=float)
        # Viridis ends in a yellow that is lost on white.
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(ranks)))
        return {
            line: {"color": to_hex(colours[ranks.index(line)]), "linewidth": width}
            for line in lines
        }
    styles = line_styles(lines, picture.figure.lines, suite.table.contrast)
    return {
        line: {
            "color": style.colour,
            "linestyle": "--" if style.dashed else _DASHES[i // len(COLOURS) % len(_DASHES)],
            "linewidth": width,
        }
        for i, (line, style) in enumerate(styles.items())
    }


def _is_ordered(lines: Sequence[Scalar]) -> bool:
    return len(lines) > CATEGORIES and all(map(_is_number, lines))


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
