"""One curve against another along training: what is kept, over what is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from bench.report import markdown
from bench.report.figures.bands import curve_bands
from bench.report.figures.curve_figure import curve_styles, legend_label, line_label, panel_title
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.pictures import Picture, pictures
from bench.report.figures.scales import scale_values
from bench.report.figures.style import SETTINGS, plain, svg_text
from bench.report.numbers import compact, portion
from bench.report.results import Results, place_key
from bench.report.values import curve_of, unit_scale
from bench.spec.cell import Scalar
from bench.spec.figure import Figure, Panel
from bench.spec.plan import Plan

Points = NDArray[np.float64]
_GREY = "#57606a"


@dataclass(frozen=True)
class Path:
    """The states of one place along training, as points of two curves.

    Attributes
    ----------
    seeds
        ``(points, 2)`` each: across and up, as shown, at the steps that both curves have.
    mean
        ``(points, 2)``: their mean at each step that every seed has. Seeds are at one step there,
        and not at one value of either curve.
    expected
        How many seeds are planned.
    """

    where: Mapping[str, Scalar]
    seeds: tuple[Points, ...]
    mean: Points
    expected: int


def draw_trade_offs(results: Results, figure: Figure) -> Drawn:
    """Return a figure's panels over the curve that it is over: a line for each method.

    Both axes are uncertain and no band would say how: each seed has a thin line of its own.
    """
    plan = results.plan
    over = Panel(curve=str(figure.over))
    both = figure.model_copy(update={"panels": (over, *figure.panels)})
    bands = curve_bands(results, both)
    found = [
        picture
        for picture in pictures(bands, figure, plan.suite)
        if any(path.mean.size for path in _picture_paths(picture, results))
    ]
    svgs = tuple(_svg(picture, results) for picture in found)
    return Drawn(svgs, _caption(found, figure, results), tuple(bands))


def trade_off(results: Results, where: Mapping[str, Scalar], over: str, curve: str) -> Path:
    """Return the path of a place: of each of its records that has both curves."""
    cells = results.places[place_key(where)]
    seeds: list[dict[float, tuple[float, float]]] = []
    for planned in cells:
        record = results.records.get(planned.cell.id)
        across = None if record is None else curve_of(record, over)
        up = None if record is None else curve_of(record, curve)
        if across is not None and up is not None:
            known = dict(zip(across.at, across.value, strict=True))
            points = zip(up.at, up.value, strict=True)
            both = {step: (known[step], value) for step, value in points if step in known}
            seeds.append({step: point for step, point in both.items() if np.isfinite(point).all()})
    steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
    scales = np.array([_scale(results.plan, over), _scale(results.plan, curve)])
    shared = np.array([[own[step] for step in steps] for own in seeds], dtype=np.float64)
    mean = shared.mean(axis=0) if steps else np.empty((0, 2))
    lines = tuple(
        scales * np.array([own[step] for step in sorted(own)], dtype=np.float64).reshape(-1, 2)
        for own in seeds
    )
    return Path(where, lines, scales * mean, len(cells))


def _scale(plan: Plan, curve: str) -> float:
    return unit_scale(_unit(plan, curve))


def _unit(plan: Plan, curve: str) -> str:
    return plan.curves[curve].unit if curve in plan.curves else ""


def _picture_paths(picture: Picture, results: Results) -> Iterator[Path]:
    for panel in picture.figure.panels:
        for column in picture.columns:
            yield from _paths(picture, panel, column, results)


def _paths(
    picture: Picture, panel: Panel, column: Scalar | None, results: Results
) -> Iterator[Path]:
    for band in picture.panel(panel.curve, column):
        yield trade_off(results, band.where, str(picture.figure.over), panel.curve)


def _svg(picture: Picture, results: Results) -> str:
    with rc_context(SETTINGS):
        return svg_text(_draw(picture, results))


def _draw(picture: Picture, results: Results) -> Canvas:
    plan, figure = results.plan, picture.figure
    across, down = len(picture.columns), len(figure.panels)
    canvas = Canvas(
        figsize=(max(3.3 * across, 4.2) + 2.0, 3.0 * down + 0.4),
        facecolor="white",
        layout="constrained",
    )
    FigureCanvasSVG(canvas)
    grid = canvas.subplots(down, across, squeeze=False, sharex="col")
    styles = curve_styles(picture.lines(), picture, plan.suite)
    legend: dict[str, Any] = {}
    for row, panel in enumerate(figure.panels):
        for column, value in enumerate(picture.columns):
            axes = grid[row][column]
            paths = [*_paths(picture, panel, value, results)]
            for line, handle in _panel(axes, panel, paths, picture, styles, plan).items():
                legend.setdefault(plain(legend_label(picture, plan.suite, line)), handle)
            if row == 0:
                axes.set_title(plain(panel_title(picture, plan.suite, value)))
            if row == down - 1:
                axes.set_xlabel(plain(_named(plan, str(figure.over), None)))
                axes.xaxis.set_major_locator(MaxNLocator(6))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: compact(tick)))
            if column == 0:
                axes.set_ylabel(plain(_named(plan, panel.curve, panel.label)))
    marks = {"color": _GREY, "linestyle": "none", "marker": "o"}
    legend["start"] = Line2D([], [], **marks, markerfacecolor="white")
    legend["end"] = Line2D([], [], **marks)
    canvas.legend(legend.values(), legend.keys(), loc="outside right upper")
    canvas.align_ylabels()
    return canvas


def _named(plan: Plan, curve: str, label: str | None) -> str:
    unit = _unit(plan, curve)
    return f"{label or curve} ({unit})" if unit else label or curve


def _panel(
    axes: Any,
    panel: Panel,
    paths: Sequence[Path],
    picture: Picture,
    styles: Mapping[Scalar, Mapping[str, Any]],
    plan: Plan,
) -> dict[Scalar, Any]:
    handles: dict[Scalar, Any] = {}
    for path in paths:
        if not path.mean.size:
            continue
        line = path.where[picture.figure.lines]
        style = dict(styles[line])
        for seed in path.seeds if len(path.seeds) > 1 else ():
            axes.plot(*seed.T, color=style["color"], linewidth=0.6, alpha=0.35)
        (handles[line],) = axes.plot(*path.mean.T, **style)
        colour = style["color"]
        ends = {"marker": "o", "color": colour, "linestyle": "none", "zorder": 3}
        axes.plot(*path.mean[0], **ends, markerfacecolor="white")
        axes.plot(*path.mean[-1], **ends)
    up = [np.stack([seed[:, 1]] * 3) for path in paths for seed in path.seeds if seed.size]
    scale_values(axes, panel.scale, _unit(plan, panel.curve), up)
    return handles


def _caption(found: Sequence[Picture], figure: Figure, results: Results) -> str:
    plan = results.plan
    paths = [path for picture in found for path in _picture_paths(picture, results)]
    drawn = [path for path in paths if path.mean.size]
    if not drawn:
        return nothing_drawn(figure, plan, "both of these curves at one step")
    numbers = sorted({len(path.seeds) for path in drawn})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    texts = [f"Lines: means over seeds at each step, n = {n}, from the first point (open) to the "
             "last (filled)"]  # fmt: skip
    texts[0] += "; thin: each seed by itself." if numbers[-1] > 1 else "."
    uneven = sum(any(len(seed) > len(path.mean) for seed in path.seeds) for path in drawn)
    if uneven:
        texts.append("Steps that not every seed has are in the thin lines alone.")
    left_out = len(paths) - len(drawn)
    if left_out:
        texts.append(
            f"Without a step that both curves of all seeds have, and not drawn: {left_out}."
        )
    partial = [
        f"{markdown.escape(line_label(figure, plan.suite, path.where[figure.lines]))} "
        f"({portion(len(path.seeds), path.expected)})"
        for path in drawn
        if len(path.seeds) < path.expected
    ]
    if partial:
        texts.append(f"**Partial**, seeds are missing: {', '.join(dict.fromkeys(partial))}.")
    return arranged(figure) + " ".join(texts)
