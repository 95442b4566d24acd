"""The table as a picture: a panel for each block, a line for each row, bands for intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.report.figures.style import SETTINGS, LineStyle, line_styles, plain, svg_text
from bench.report.results import Block, Entry
from bench.report.tables.layout import axis_name, label, measure_label
from bench.spec.cell import Scalar
from bench.spec.suite import Suite

PANELS_A_ROW = 3
MAX_PANELS = 12


def figure_svg(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str], suite: Suite
) -> str | None:
    """Return the table as line panels in SVG, or None where there is no number yet.

    At most ``MAX_PANELS`` blocks are drawn: the first of them.
    """
    drawn = [b for b in blocks if any(e.n for e in b.entries.values())][:MAX_PANELS]
    if not drawn:
        return None
    rows = [row for block in blocks for row in block.rows]
    styles = line_styles(rows, axes[0][-1], suite.table.contrast)
    with rc_context(SETTINGS):
        return svg_text(_draw(drawn, axes, suite, styles))


def _draw(
    blocks: Sequence[Block[Entry]],
    axes: tuple[Sequence[str], str],
    suite: Suite,
    styles: Mapping[Scalar, LineStyle],
) -> Figure:
    across = min(PANELS_A_ROW, len(blocks))
    down = -(-len(blocks) // across)
    figure = Figure(
        figsize=(max(3.3 * across, 4.5), 2.7 * down + 0.6), facecolor="white", layout="constrained"
    )
    FigureCanvasSVG(figure)
    panels = figure.subplots(down, across, squeeze=False)
    legend: dict[str, Any] = {}
    for index, panel in enumerate(panels.flat):
        if index >= len(blocks):
            panel.set_axis_off()
            continue
        _panel(panel, blocks[index], axes, suite, styles, legend)
        if index % across == 0:
            panel.set_ylabel(plain(measure_label(suite, suite.table.metric)))
    # Two names fit over a panel.
    columns = min(2 * across, len(legend))
    figure.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=columns)
    return figure


def _panel(
    panel: Any,
    block: Block[Entry],
    axes: tuple[Sequence[str], str],
    suite: Suite,
    styles: Mapping[Scalar, LineStyle],
    legend: dict[str, Any],
) -> None:
    (*outer, inner), column_axis = axes
    # Rates are far from evenly spaced: columns stand side by side, as in the table.
    place = {column: x for x, column in enumerate(block.columns)}
    for row in block.rows:
        here = [(c, e) for c in block.columns if (e := block.entries.get((row, c))) and e.n]
        x = [place[column] for column, _ in here]
        estimates = [entry.estimate for _, entry in here]
        style = styles[row]
        name = plain(label(suite, inner, row))
        (line,) = panel.plot(x, [e.mean for e in estimates], **style.line())
        legend.setdefault(name, line)
        halves = [e.half_width or 0.0 for e in estimates]
        low = [e.mean - half for e, half in zip(estimates, halves, strict=True)]
        high = [e.mean + half for e, half in zip(estimates, halves, strict=True)]
        panel.fill_between(x, low, high, color=style.colour, alpha=0.12, linewidth=0)
    names = [label(suite, axis, value) for axis, value in zip(outer, block.key, strict=True)]
    panel.set_title(plain(", ".join(names)))
    panel.set_xticks(range(len(place)), [plain(label(suite, column_axis, c)) for c in place])
    panel.set_xlim(-0.25, len(place) - 0.75)
    panel.set_xlabel(plain(axis_name(column_axis)))
    panel.grid(axis="x", visible=False)
