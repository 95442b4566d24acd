"""A forest plot: estimates with their intervals, line by line, against the line at zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.report.figures.style import SETTINGS, plain, svg_text
from bench.stats.intervals import Estimate

MAX_PANELS = 12
# Inches: of a whole picture, of a panel without its names, of a letter of a name.
_WIDEST, _PLOT, _LETTER = 10.6, 2.2, 0.068
# Heights in inches: of a line with a name, of one without, of a group's title, between groups.
_NAMED, _BARE, _TITLE, _GAP = 0.18, 0.075, 0.22, 0.1
_LEAST = 0.3
_GROUND = "#1a7f37"
_INK = "#24292f"


@dataclass(frozen=True)
class Line:
    """An estimate; without a ``name`` it stands close to its neighbours.

    Attributes
    ----------
    strong
        Drawn thick, its mean filled.
    paper
        The paper's own number, a mark on the line.
    """

    estimate: Estimate
    name: str = ""
    strong: bool = False
    paper: float | None = None


@dataclass(frozen=True)
class Group:
    """Lines under one title.

    Attributes
    ----------
    verdict
        Words at the right end.
    asked
        From where to where the lines are said to lie: shaded.
    """

    title: str
    lines: tuple[Line, ...]
    colour: str
    verdict: str = ""
    asked: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """Groups on one axis; ``zero`` draws the line there."""

    title: str
    axis: str
    groups: tuple[Group, ...]
    zero: bool = True

    @property
    def lines(self) -> list[Line]:
        """Every line of the panel."""
        return [line for group in self.groups for line in group.lines]

    @property
    def limits(self) -> tuple[float, float]:
        """Where the axis begins and ends.

        Everything that is a mean is inside. An interval may be much wider than all means are
        apart: it is followed as far again, and cut there.
        """
        ends = [end for g in self.groups for end in g.asked or () if math.isfinite(end)]
        marks = [line.paper for line in self.lines if line.paper is not None]
        core = [*(line.estimate.mean for line in self.lines), *marks, *ends]
        core += [0.0] if self.zero else []
        halves = [line.estimate.half_width or 0.0 for line in self.lines]
        span = max(core) - min(core) or max(halves) or 1.0
        low = max(min(core) - span, min([*core, *_ends(self.lines, "low")]))
        high = min(max(core) + span, max([*core, *_ends(self.lines, "high")]))
        edge = 0.04 * (high - low or 1.0)
        return low - edge, high + edge

    @property
    def cut(self) -> bool:
        """Whether an interval goes on beyond the axis."""
        low, high = self.limits
        bounded = [line.estimate for line in self.lines if line.estimate.half_width is not None]
        return any(each.low < low or each.high > high for each in bounded)


def forest_svg(panels: Sequence[Panel]) -> str:
    """Return panels side by side as SVG; at most ``MAX_PANELS``, the first of them."""
    with rc_context(SETTINGS):
        return svg_text(_draw(panels[:MAX_PANELS]))


def _draw(panels: Sequence[Panel]) -> Figure:
    # Verdicts need room at the right: such panels stand below each other.
    wide = any(group.verdict for panel in panels for group in panel.groups)
    room = max(map(_room, panels))
    across = 1 if wide else min(len(panels), max(1, int(_WIDEST // room)))
    rows = [panels[i : i + across] for i in range(0, len(panels), across)]
    heights = [max(_height(panel) for panel in row) + 0.75 for row in rows]
    width = 7.2 if wide else max(room * across, 5.0)
    figure = Figure(figsize=(width, sum(heights)), facecolor="white", layout="constrained")
    FigureCanvasSVG(figure)
    drawn = figure.subplots(len(rows), across, squeeze=False, height_ratios=heights)
    for i, row in enumerate(rows):
        tallest = max(_height(panel) for panel in row)
        for j, axes in enumerate(drawn[i]):
            if j < len(row):
                _panel(axes, row[j], tallest)
            else:
                axes.set_axis_off()
    return figure


def _panel(axes: Any, panel: Panel, height: float) -> None:
    low, high = panel.limits
    axes.set_xlim(low, high)
    # Inches from the top, so that lines are as far apart in every panel.
    axes.set_ylim(height, 0)
    axes.set_title(plain(panel.title))
    axes.set_xlabel(plain(panel.axis))
    if panel.zero:
        axes.axvline(0, color=_INK, linewidth=1, zorder=1)
    ticks: list[tuple[float, str, bool]] = []
    top = 0.0
    for group in panel.groups:
        below = top + _group_height(group)
        _shade(axes, group, (top, below), (low, high))
        if not _is_named(group):
            ticks.append(((top + below) / 2, group.title, False))
            axes.annotate(
                plain(group.verdict), (1, (top + below) / 2), xycoords=axes.get_yaxis_transform(),
                xytext=(5, 0), textcoords="offset points", va="center", color=group.colour,
            )  # fmt: skip
        elif group.title:
            ticks.append((top + _TITLE / 2, group.title, True))
        for y, line in zip(_places(group, top), group.lines, strict=True):
            _line(axes, y, line, group, (low, high))
            if line.name:
                ticks.append((y, line.name, False))
        top = below + _GAP
    axes.set_yticks([y for y, _, _ in ticks], [plain(text) for _, text, _ in ticks])
    for shown, (_, _, bold) in zip(axes.get_yticklabels(), ticks, strict=True):
        shown.set_fontweight("bold" if bold else "normal")
        shown.set_color(_INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def _line(axes: Any, y: float, line: Line, group: Group, limits: tuple[float, float]) -> None:
    estimate, colour = line.estimate, group.colour
    if estimate.half_width is not None:
        ends = max(estimate.low, limits[0]), min(estimate.high, limits[1])
        wide = 2.2 if line.strong else 1.1
        alpha = 1.0 if line.strong or line.name else 0.45
        axes.plot(ends, [y, y], color=colour, linewidth=wide, alpha=alpha, zorder=2)
        for end, inner, marker in zip(ends, (estimate.low, estimate.high), "<>", strict=True):
            if end != inner:
                axes.plot(end, y, marker, color=colour, markersize=4, clip_on=False, zorder=3)
    size = 5.5 if line.strong or line.name else 3
    face = colour if line.strong else "white"
    axes.plot(estimate.mean, y, "o", color=colour, markerfacecolor=face, markersize=size, zorder=4)
    if line.paper is not None:
        axes.plot(line.paper, y, "D", color=_INK, markerfacecolor="none", markersize=5.5, zorder=5)


def _shade(axes: Any, group: Group, rows: tuple[float, float], limits: tuple[float, float]) -> None:
    if group.asked is None:
        return
    left, right = max(group.asked[0], limits[0]), min(group.asked[1], limits[1])
    axes.fill_between([left, right], *rows, color=_GROUND, alpha=0.1, linewidth=0, zorder=0)
    for end in group.asked:
        if math.isfinite(end):
            axes.plot([end, end], rows, color=_GROUND, linewidth=1, linestyle=":", zorder=1)


def _room(panel: Panel) -> float:
    names = [line.name for line in panel.lines] + [group.title for group in panel.groups]
    return _PLOT + _LETTER * max(map(len, names))


def _height(panel: Panel) -> float:
    return sum(map(_group_height, panel.groups)) + _GAP * len(panel.groups)


def _group_height(group: Group) -> float:
    if _is_named(group):
        return (_TITLE if group.title else 0.0) + _NAMED * len(group.lines)
    return max(_LEAST, _BARE * (len(group.lines) + 1))


def _places(group: Group, top: float) -> list[float]:
    """Return where each line of a group lies, in inches."""
    if _is_named(group):
        first = top + (_TITLE if group.title else 0.0) + _NAMED / 2
        return [first + _NAMED * i for i in range(len(group.lines))]
    middle = top + _group_height(group) / 2
    return [middle + _BARE * (i - (len(group.lines) - 1) / 2) for i in range(len(group.lines))]


def _is_named(group: Group) -> bool:
    return any(line.name for line in group.lines)


def _ends(lines: Iterable[Line], side: str) -> list[float]:
    bounded = (line.estimate for line in lines if line.estimate.half_width is not None)
    return [getattr(estimate, side) for estimate in bounded]
