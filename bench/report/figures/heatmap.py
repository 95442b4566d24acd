"""Maps of two-dimensional arrays that cells left: colours for values, one scale a row of panels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from bench.report import markdown
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.map_axes import Map, Names, name_ticks, names_of, write_values
from bench.report.figures.pictures import COLUMNS
from bench.report.figures.style import SETTINGS, plain, svg_text
from bench.report.numbers import plural, portion
from bench.report.results import Results, varying_axes
from bench.report.tables.layout import label
from bench.spec.cell import PlannedCell
from bench.spec.figure import Figure, Panel
from bench.spec.recipe import Scalar
from bench.spec.suite import Suite

# Finer maps are drawn as means of blocks.
SIDE = 96
# Up to so many values each is a shape of the SVG, sharp at every size; more make one image in it.
_SHAPES = 1024
# Of a shape, below its neighbours, which are drawn later: else seams may be seen between them.
_OVERLAP = 0.1


@dataclass(frozen=True)
class Maps:
    """The maps at one place: array's name to the mean over the seeds that have it.

    ``names`` are those of each map's rows and columns, where all seeds have the same.
    """

    where: Mapping[str, Scalar]
    maps: Mapping[str, Map]
    n: int
    expected: int
    names: Mapping[str, Names] = field(default_factory=dict)

    def names_of(self, array: str) -> Names:
        """Return the names of a map's rows and columns."""
        return self.names.get(array, Names())


def draw_heatmaps(results: Results, figure: Figure) -> Drawn:
    """Return a figure's maps: a picture for each value of every axis that is not a column.

    Panels name arrays of the artifact ``arrays``. Maps are means over the seeds, or of the first
    ones where the figure says how many. Where the figure says ``lines``, a picture has a row for
    each value of that axis.
    """
    plan = results.plan
    found = [
        maps
        for cells in results.places.values()
        if figure.selects(cells[0].place) and (maps := _maps(results, figure, cells)).maps
    ]
    if not found:
        return Drawn((), nothing_drawn(figure, plan, "these arrays"))
    key = [a for a in varying_axes(plan) if a not in (figure.columns, figure.line_axis)]
    pictures: dict[tuple[Scalar, ...], list[Maps]] = {}
    for maps in found:
        pictures.setdefault(tuple(maps.where[axis] for axis in key), []).append(maps)
    svgs = [
        _svg([m for m in group if _value(m, figure.columns) in columns], figure, plan.suite, key)
        for group in pictures.values()
        for columns in _chunks(group, figure)
    ]
    return Drawn(tuple(svgs), _caption(found, figure, plan.suite, key))


def block_means(values: Map, side: int = SIDE) -> Map:
    """Return a map of at most ``side`` rows and columns: means of blocks as equal as can be.

    >>> block_means(np.arange(8.0).reshape(2, 4), 2)
    array([[0.5, 2.5],
           [4.5, 6.5]])
    """
    for axis in (0, 1):
        if values.shape[axis] > side:
            blocks = np.array_split(values, side, axis=axis)
            values = np.stack([block.mean(axis=axis) for block in blocks], axis=axis)
    return values


def _maps(results: Results, figure: Figure, cells: Sequence[PlannedCell]) -> Maps:
    drawn = cells[: figure.seeds]
    of_seeds = [results.arrays(results.records[p.cell.id]) for p in drawn
                if p.cell.id in results.records]  # fmt: skip
    maps, counts, names = {}, [], {}
    for panel in figure.panels:
        having = [arrays for arrays in of_seeds if panel.curve in arrays]
        own = [np.asarray(arrays[panel.curve], np.float64) for arrays in having]
        # Maps of other shapes are of other things: there is no mean of them.
        if own and own[0].ndim == 2 and len({each.shape for each in own}) == 1:
            maps[panel.curve] = np.mean(own, axis=0)
            counts.append(len(own))
            named = {names_of(arrays, panel.curve) for arrays in having}
            names[panel.curve] = named.pop() if len(named) == 1 else Names()
    # A seed whose array is gone or damaged is missing, as one that has not run is.
    return Maps(cells[0].place, maps, min(counts, default=0), len(drawn), names)


def _value(maps: Maps, axis: str | None) -> Scalar | None:
    return maps.where[axis] if axis is not None else None


def _values(group: Sequence[Maps], axis: str | None) -> list[Scalar | None]:
    return list(dict.fromkeys(_value(maps, axis) for maps in group))


def _chunks(group: Sequence[Maps], figure: Figure) -> Iterator[list[Scalar | None]]:
    columns = _values(group, figure.columns)
    for first in range(0, len(columns), COLUMNS):
        yield columns[first : first + COLUMNS]


def _svg(group: Sequence[Maps], figure: Figure, suite: Suite, key: Sequence[str]) -> str:
    axis = figure.line_axis
    columns, lines = _values(group, figure.columns), _values(group, axis)
    at = {(_value(maps, axis), _value(maps, figure.columns)): maps for maps in group}
    across, down = len(columns), len(figure.panels) * len(lines)
    least = 2.3 if axis is None else 1.4
    names = [own for maps in group for own in maps.names.values()]
    side = max(own.side(least) for own in names)
    beside, below = (max(rooms) for rooms in zip(*(own.room for own in names), strict=True))
    with rc_context(SETTINGS):
        canvas = Canvas(
            figsize=(
                (side + 0.3) * across + 1.2 + beside,
                side * down + 0.4 + below * len(figure.panels),
            ),
            facecolor="white",
            layout="constrained",
        )
        FigureCanvasSVG(canvas)
        grid = canvas.subplots(down, across, squeeze=False)
        for number, panel in enumerate(figure.panels):
            block = grid[number * len(lines) : (number + 1) * len(lines)]
            maps = [[at.get((line, column)) for column in columns] for line in lines]
            _panel(canvas, block, panel, maps, side)
            for axes, line in zip(block[:, 0], lines, strict=True):
                named = [] if axis is None or line is None else [label(suite, axis, line)]
                named += [panel.down] if panel.down else []
                axes.set_ylabel(plain("\n".join(named)))
            for axes in block[-1] if panel.across else ():
                axes.set_xlabel(plain(str(panel.across)))
        for axes, column in zip(grid[0], columns, strict=True):
            where = next(m.where for m in group if _value(m, figure.columns) == column)
            # Of a picture with rows the other axes' values stand above all columns: maps are small.
            named = [*(key if axis is None else ()), *([figure.columns] if figure.columns else [])]
            axes.set_title(plain(", ".join(label(suite, a, where[a]) for a in named)))
        if axis is not None and key:
            canvas.suptitle(plain(", ".join(label(suite, a, group[0].where[a]) for a in key)))
        return svg_text(canvas)


def _panel(
    canvas: Canvas,
    grid: NDArray[Any],
    panel: Panel,
    maps: Sequence[Sequence[Maps | None]],
    side: float,
) -> None:
    """Draw one array's maps, a row a line, by one scale; a side is so many inches."""
    shown = {
        (row, column): (block_means(m.maps[panel.curve]), m.names_of(panel.curve))
        for row, line in enumerate(maps)
        for column, m in enumerate(line)
        if m is not None and panel.curve in m.maps
    }
    norm, extend = _norm([values for values, _ in shown.values()], panel)
    drawn = None
    for at, axes in np.ndenumerate(grid):
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        if at not in shown:
            axes.set_frame_on(False)
            continue
        values, names = shown[at]
        drawn = _draw(axes, values, norm)
        if names.written:
            write_values(axes, values, drawn)
        name_ticks(axes, values.shape, _beside(at, {k: own for k, (_, own) in shown.items()}), side)
    if drawn is not None:
        name = plain(panel.label or panel.curve)
        canvas.colorbar(drawn, ax=list(grid.ravel()), label=name, extend=extend)


def _beside(at: tuple[int, ...], names: Mapping[tuple[int, ...], Names]) -> Names:
    """Return the names that stand at a map: those that all share at the left and below alone."""
    row, column = at
    left = column == min(c for r, c in names if r == row)
    below = row == max(r for r, c in names if c == column)
    own = names[at]
    return Names(
        own.rows if left or len({each.rows for each in names.values()}) > 1 else (),
        own.columns if below or len({each.columns for each in names.values()}) > 1 else (),
    )


def _draw(axes: Any, values: Map, norm: Normalize | None) -> PolyCollection | AxesImage:
    """Draw a map, its first row at the top; equal neighbours of a row are one shape."""
    if values.size > _SHAPES:
        across = (0, values.shape[1], values.shape[0], 0)
        image: AxesImage = axes.imshow(
            values, cmap="viridis", norm=norm, extent=across, aspect="auto", interpolation="none"
        )
        return image
    shapes, colours = [], []
    for y, row in enumerate(values):
        ends = [*(np.flatnonzero(np.diff(row)) + 1), len(row)]
        for start, end in zip([0, *ends], ends, strict=False):
            below, beside = y + 1 + _OVERLAP, end + _OVERLAP
            shapes.append([(start, y), (beside, y), (beside, below), (start, below)])
            colours.append(row[start])
    drawn = PolyCollection(
        shapes, array=np.array(colours), cmap="viridis", norm=norm, linewidth=0, antialiased=False
    )
    axes.add_collection(drawn)
    axes.set_xlim(0, values.shape[1])
    axes.set_ylim(values.shape[0], 0)
    return drawn


def _norm(maps: Sequence[Map], panel: Panel) -> tuple[Normalize | None, str]:
    """Return the scale of the colours, and at which ends values lie beyond it."""
    values = np.concatenate([each.ravel() for each in maps]) if maps else np.array([])
    values = values[np.isfinite(values) & ((values > 0) | (panel.scale != "log"))]
    if not values.size:
        return None, "neither"
    lowest, highest = float(values.min()), float(values.max())
    low, high = panel.limits or (lowest, highest)
    kind = LogNorm if panel.scale == "log" else Normalize
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    return kind(low, high), ends.get((lowest < low, highest > high), "both")


def _caption(found: Sequence[Maps], figure: Figure, suite: Suite, key: Sequence[str]) -> str:
    numbers = sorted({maps.n for maps in found})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    axis = figure.line_axis
    alike = "row" if axis is None else "picture" if len(figure.panels) == 1 else "panel"
    texts = [f"Colours: means over seeds, n = {n}; one scale for all maps of a {alike}."]
    sizes = {each.shape for maps in found for each in maps.maps.values()}
    if any(max(size) > SIDE for size in sizes):
        texts.append(f"Maps of more than {plural(SIDE, 'row')} or columns: means of blocks.")
    partial = [
        f"{markdown.escape(', '.join(label(suite, a, maps.where[a]) for a in key) or 'all')} "
        f"({portion(maps.n, maps.expected)})"
        for maps in found
        if maps.n < maps.expected
    ]
    if partial:
        texts.append(f"**Partial**, seeds are missing: {', '.join(dict.fromkeys(partial))}.")
    return arranged(figure) + " ".join(texts)
