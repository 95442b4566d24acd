"""Valleys: a network's mean error by how far one module has come, and by noise on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import patheffects, rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from bench.report import markdown
from bench.report.figures.drawn import Drawn, arranged, nothing_drawn
from bench.report.figures.pictures import COLUMNS
from bench.report.figures.style import SETTINGS, plain, svg_text
from bench.report.numbers import compact, plural, portion
from bench.report.results import Arrays, Results, varying_axes
from bench.report.tables.layout import label
from bench.report.values import unit_scale
from bench.spec.cell import PlannedCell
from bench.spec.figure import Figure, Panel
from bench.spec.metrics import PERCENT
from bench.spec.recipe import Scalar
from bench.spec.suite import Suite
from bench.spec.work import Measure

# The arrays beside the errors: where along the way, and how much noise.
ALPHAS, SIGMAS = "alphas", "sigmas"
EPSILON = "epsilon"
PANELS_A_ROW = 4
# Of a grid with more points they would hide what is drawn.
_DOTS = 300
_OUTLINED = [patheffects.withStroke(linewidth=2.6, foreground="black")]
_LINE: dict[str, Any] = {"color": "white", "linewidth": 1.3}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Valley:
    """The valleys at one place.

    Attributes
    ----------
    alphas, sigmas
        ``(n,)`` and ``(m,)``, ascending; noise is above zero.
    errors
        Array's name to ``(n, m)``: mean error in percent, the mean over the seeds that have it.
    epsilon
        The error that a criticality was measured at, in percent; None where none is said.
    """

    where: Mapping[str, Scalar]
    alphas: Floats
    sigmas: Floats
    errors: Mapping[str, Floats]
    epsilon: float | None
    n: int
    expected: int


# An array's name, what stands over its panel and beside it, and the valley it is of.
Shown = tuple[str, str, str, Valley | None]


def draw_valleys(results: Results, figure: Figure) -> Drawn:
    """Return a figure's valleys, by one scale of colours a picture.

    Panels name arrays of the artifact ``arrays``, errors as fractions ``(alphas, sigmas)``; the
    grid's points are the arrays ``alphas`` and ``sigmas`` there. With ``columns`` a panel is a
    row, and else panels stand side by side; every other axis that varies makes pictures.
    """
    plan = results.plan
    found = [
        valley
        for cells in results.places.values()
        if figure.selects(cells[0].place)
        and (valley := _valley(results, figure, cells)) is not None
    ]
    if not found:
        return Drawn((), nothing_drawn(figure, plan, "these arrays over alphas and sigmas"))
    key = [axis for axis in varying_axes(plan) if axis != figure.columns]
    pictures: dict[tuple[Scalar, ...], list[Valley]] = {}
    for valley in found:
        pictures.setdefault(tuple(valley.where[axis] for axis in key), []).append(valley)
    svgs = [
        _svg(rows, [label(plan.suite, axis, group[0].where[axis]) for axis in key])
        for group in pictures.values()
        for rows in _grids(group, figure, plan.suite)
    ]
    return Drawn(tuple(svgs), _caption(found, figure, plan.suite, key))


def _valley(results: Results, figure: Figure, cells: Sequence[PlannedCell]) -> Valley | None:
    drawn = cells[: figure.seeds]
    of_seeds = [results.arrays(results.records[p.cell.id]) for p in drawn
                if p.cell.id in results.records]  # fmt: skip
    grids = [(a[ALPHAS], a[SIGMAS]) for a in of_seeds if ALPHAS in a and SIGMAS in a]
    # Errors at other points are of other things: there is no mean of them.
    if not grids or not all(_same(grid, grids[0]) for grid in grids):
        return None
    alphas, sigmas = (np.asarray(points, np.float64) for points in grids[0])
    along, noise = np.argsort(alphas), np.flatnonzero(sigmas > 0)
    noise = noise[np.argsort(sigmas[noise])]
    errors, counts = {}, []
    for panel in figure.panels:
        own = [np.asarray(a[panel.curve], np.float64) for a in of_seeds if panel.curve in a]
        if own and all(each.shape == (len(alphas), len(sigmas)) for each in own):
            mean = unit_scale(PERCENT) * np.mean(own, axis=0)
            errors[panel.curve] = mean[np.ix_(along, noise)]
            counts.append(len(own))
    if not errors or min(len(along), len(noise)) < 2:
        return None
    n, epsilon = min(counts), _epsilon(cells[0])
    where = cells[0].place
    return Valley(where, alphas[along], sigmas[noise], errors, epsilon, n, len(drawn))


def _same(one: tuple[Arrays, Arrays], other: tuple[Arrays, Arrays]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _epsilon(planned: PlannedCell) -> float | None:
    work = planned.cell.work
    said = work.measurement.settings.get(EPSILON) if isinstance(work, Measure) else None
    return None if said is None else unit_scale(PERCENT) * float(said)


def _grids(group: Sequence[Valley], figure: Figure, suite: Suite) -> Iterator[list[list[Shown]]]:
    """Yield the panels of each picture of a group, row by row."""
    axis = figure.columns
    if axis is None:
        shown: list[Shown] = [(p.curve, _name(p), "", group[0]) for p in figure.panels]
        yield [shown[i : i + PANELS_A_ROW] for i in range(0, len(shown), PANELS_A_ROW)]
        return
    at = {valley.where[axis]: valley for valley in group}
    for first in range(0, len(at), COLUMNS):
        columns = [*at][first : first + COLUMNS]
        yield [
            [
                (
                    panel.curve,
                    label(suite, axis, column) if row == 0 else "",
                    _name(panel) if column == columns[0] else "",
                    at[column],
                )
                for column in columns
            ]
            for row, panel in enumerate(figure.panels)
        ]


def _name(panel: Panel) -> str:
    return panel.label or panel.curve.partition("/")[2] or panel.curve


def _svg(rows: Sequence[Sequence[Shown]], key: Sequence[str]) -> str:
    across, down = max(map(len, rows)), len(rows)
    levels = _levels([v.errors[name] for row in rows for name, _, _, v in row
                      if v is not None and name in v.errors])  # fmt: skip
    with rc_context(SETTINGS):
        canvas = Canvas(
            figsize=(2.1 * across + 1.3, 1.9 * down + (0.75 if key else 0.5)),
            facecolor="white",
            layout="constrained",
        )
        FigureCanvasSVG(canvas)
        grid = canvas.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        drawn: Any = None
        valleys = [valley for row in rows for *_, valley in row if valley is not None]
        epsilons = {valley.epsilon for valley in valleys if valley.epsilon is not None}
        for y, x in np.ndindex(down, across):
            axes: Any = grid[y, x]
            name, title, beside, valley = rows[y][x] if x < len(rows[y]) else ("", "", "", None)
            if valley is None or name not in valley.errors:
                axes.set_axis_off()
                continue
            drawn = _draw(axes, valley, name, levels)
            axes.set_title(plain(title))
            if y + 1 == down or x >= len(rows[y + 1]):
                axes.set_xlabel("α")
                axes.tick_params(labelbottom=True)
            if x == 0:
                axes.set_ylabel(plain(f"{beside}\nσ" if beside else "σ"))
        bar = canvas.colorbar(drawn, ax=list(grid.ravel()), label="mean error (%)")
        for epsilon in sorted(epsilons):
            bar.ax.axhline(epsilon, path_effects=_OUTLINED, **_LINE)
        if key:
            canvas.suptitle(plain(", ".join(key)))
        return svg_text(canvas)


def _levels(errors: Sequence[Floats]) -> Floats:
    highest = max(float(each.max()) for each in errors)
    levels: Floats = np.asarray(MaxNLocator(10).tick_values(0.0, highest or 1.0))
    return levels


def _draw(axes: Any, valley: Valley, name: str, levels: Floats) -> Any:
    errors = valley.errors[name]
    axes.grid(visible=False)
    axes.set_yscale("log")
    # Seams between neighbouring colours would be seen through otherwise.
    drawn = axes.contourf(
        valley.alphas, valley.sigmas, errors.T, levels=levels, cmap="viridis", antialiased=False
    )
    drawn.set(edgecolor="face", linewidth=0.4)
    epsilon = valley.epsilon
    if epsilon is not None and errors.min() < epsilon < errors.max():
        line = axes.contour(
            valley.alphas, valley.sigmas, errors.T, levels=[epsilon],
            colors=_LINE["color"], linewidths=_LINE["linewidth"],
        )  # fmt: skip
        line.set_path_effects(_OUTLINED)
    if errors.size <= _DOTS:
        at, noise = np.meshgrid(valley.alphas, valley.sigmas)
        axes.plot(at.ravel(), noise.ravel(), linestyle="none", marker=".", markersize=1.6,
                  markeredgewidth=0, color="white", alpha=0.55)  # fmt: skip
    axes.set_xlim(valley.alphas[0], valley.alphas[-1])
    axes.set_ylim(valley.sigmas[0], valley.sigmas[-1])
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    few = valley.sigmas[-1] / valley.sigmas[0] < 100
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    return drawn


def _caption(found: Sequence[Valley], figure: Figure, suite: Suite, key: Sequence[str]) -> str:
    numbers = sorted({valley.n for valley in found})
    n = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    texts = [
        f"Colours: mean error over seeds, n = {n}, between the points of a grid; one scale for "
        "all panels of a picture.",
        "α: how far the panel's module has come, from initial (0) to final parameters (1); σ: "
        "the noise on it.",
    ]
    epsilons = sorted({valley.epsilon for valley in found if valley.epsilon is not None})
    if epsilons:
        shown = " or ".join(f"{compact(epsilon)}%" for epsilon in epsilons)
        texts.append(f"Line: an error of ε = {shown}; without it, all errors are on one side.")
    missing = sum(panel.curve not in valley.errors for valley in found for panel in figure.panels)
    if missing:
        texts.append(f"Not drawn: {plural(missing, 'panel')} without these errors.")
    axes = [*key, *([figure.columns] if figure.columns is not None else [])]
    partial = [
        f"{markdown.escape(', '.join(label(suite, a, valley.where[a]) for a in axes) or 'all')} "
        f"({portion(valley.n, valley.expected)})"
        for valley in found
        if valley.n < valley.expected
    ]
    if partial:
        texts.append(f"**Partial**, seeds are missing: {', '.join(dict.fromkeys(partial))}.")
    return arranged(figure) + " ".join(texts)
