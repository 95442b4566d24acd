"""One picture a page: a panel for each block, a line for each row, bands for intervals.

The SVG's bytes depend on the numbers alone: fixed ids, no date, no creator, text as text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.report.aggregate import Block, Entry
from bench.report.tables import axis_name, label
from bench.spec.cell import Scalar
from bench.spec.suite import Contrast, Suite

# Okabe and Ito's colours, which colour-blind readers tell apart; yellow left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PANELS_A_ROW = 3
MAX_PANELS = 12

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "retable",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c959f",
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d0d7de",
    "grid.linewidth": 0.6,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}  # fmt: skip


@dataclass(frozen=True)
class _Style:
    colour: str
    marker: str
    dashed: bool

    def line(self) -> dict[str, Any]:
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": "--" if self.dashed else "-",
            "markerfacecolor": "white" if self.dashed else self.colour,
        }


def figure_svg(
    blocks: Sequence[Block[Entry]], axes: tuple[Sequence[str], str], suite: Suite
) -> str | None:
    """Return the table as line panels in SVG, or None where there is no number yet.

    At most ``MAX_PANELS`` blocks are drawn: the first of them.
    """
    drawn = [b for b in blocks if any(e.n for e in b.entries.values())][:MAX_PANELS]
    if not drawn:
        return None
    styles = _styles(blocks, axes[0][-1], suite.table.contrast)
    with rc_context(_STYLE):
        return _without_noise(_draw(drawn, axes, suite, styles))


def _draw(
    blocks: Sequence[Block[Entry]],
    axes: tuple[Sequence[str], str],
    suite: Suite,
    styles: Mapping[Scalar, _Style],
) -> str:
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
            unit = f" ({suite.table.unit})" if suite.table.unit else ""
            panel.set_ylabel(_plain(f"{suite.table.metric}{unit}"))
    # Two names fit over a panel.
    columns = min(2 * across, len(legend))
    figure.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=columns)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _panel(
    panel: Any,
    block: Block[Entry],
    axes: tuple[Sequence[str], str],
    suite: Suite,
    styles: Mapping[Scalar, _Style],
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
        name = _plain(label(suite, inner, row))
        (line,) = panel.plot(x, [e.mean for e in estimates], **style.line())
        legend.setdefault(name, line)
        halves = [e.half_width or 0.0 for e in estimates]
        low = [e.mean - half for e, half in zip(estimates, halves, strict=True)]
        high = [e.mean + half for e, half in zip(estimates, halves, strict=True)]
        panel.fill_between(x, low, high, color=style.colour, alpha=0.12, linewidth=0)
    names = [label(suite, axis, value) for axis, value in zip(outer, block.key, strict=True)]
    panel.set_title(_plain(", ".join(names)))
    panel.set_xticks(range(len(place)), [_plain(label(suite, column_axis, c)) for c in place])
    panel.set_xlim(-0.25, len(place) - 0.75)
    panel.set_xlabel(_plain(axis_name(column_axis)))
    panel.grid(axis="x", visible=False)


def _styles(
    blocks: Sequence[Block[Entry]], axis: str, contrast: Contrast | None
) -> dict[Scalar, _Style]:
    rows = list(dict.fromkeys(row for block in blocks for row in block.rows))
    # A pair shares its colour: the base is dashed and hollow.
    base_of = dict(contrast.pairs) if contrast and contrast.axis == axis else {}
    one_each = len(set(base_of.values())) == len(base_of)
    family = {row: base_of.get(str(row), row) if one_each else row for row in rows}
    order = list(dict.fromkeys(family.values()))
    bases = set(base_of.values()) if one_each else set()
    return {
        row: _Style(
            COLOURS[order.index(family[row]) % len(COLOURS)],
            MARKERS[order.index(family[row]) % len(MARKERS)],
            dashed=row in bases,
        )
        for row in rows
    }


def _plain(text: str) -> str:
    # Matplotlib would typeset what stands between dollars.
    return text.replace("$", r"\$")


def _without_noise(svg: str) -> str:
    # The metadata is the date and matplotlib's version; a page's bytes must hold neither.
    svg = re.sub(r"\n? *<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
