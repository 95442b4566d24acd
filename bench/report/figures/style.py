"""What all pictures look like, and SVG whose bytes depend on the numbers alone."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from bench.report.figures.png import stored_images
from bench.spec.cell import Scalar
from bench.spec.suite import Contrast

# Okabe and Ito's colours, which colour-blind readers tell apart; yellow left out on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

SETTINGS: Any = {
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
    "figure.titlesize": 9.5,
    "figure.titleweight": "bold",
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
class LineStyle:
    """Colour and marker of a line, and whether it is dashed and hollow."""

    colour: str
    marker: str
    dashed: bool

    def line(self) -> dict[str, Any]:
        """Return the style as arguments of ``Axes.plot``."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": "--" if self.dashed else "-",
            "markerfacecolor": "white" if self.dashed else self.colour,
        }


def line_styles(
    values: Sequence[Scalar], axis: str, contrast: Contrast | None
) -> dict[Scalar, LineStyle]:
    """Return a style for each value of an axis, in the order of first appearance.

    A pair of a contrast shares its colour: the base is dashed and hollow.
    """
    rows = list(dict.fromkeys(values))
    base_of = dict(contrast.pairs) if contrast and contrast.axis == axis else {}
    one_each = len(set(base_of.values())) == len(base_of)
    family = {row: base_of.get(str(row), row) if one_each else row for row in rows}
    order = list(dict.fromkeys(family.values()))
    bases = set(base_of.values()) if one_each else set()
    return {
        row: LineStyle(
            COLOURS[order.index(family[row]) % len(COLOURS)],
            MARKERS[order.index(family[row]) % len(MARKERS)],
            dashed=row in bases,
        )
        for row in rows
    }


def plain(text: str) -> str:
    """Return text that matplotlib does not typeset between dollars."""
    return text.replace("$", r"\$")


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG: fixed ids, no date, no creator, text as text."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    # The metadata is the date and matplotlib's version; a page's bytes must hold neither.
    svg = re.sub(r"\n? *<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    svg = stored_images(re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL))
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
