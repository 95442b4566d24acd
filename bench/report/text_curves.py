"""Curves drawn in characters, in the groups and scales in which the site draws pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.report.figures.scales import axis_label
from bench.report.site.cell_curves import Group, points_of, scale_of, short_name

# One a curve; the next begins anew.
MARKS = "•+×o#~"
Line = NDArray[np.float64]


def text_curves(group: Group, width: int, height: int = 8) -> list[str]:
    """Return a group's curves as lines of at most ``width`` characters.

    Values that span much are on a logarithmic scale, and so are steps of anytime curves; this is
    said. A later curve's mark hides an earlier one's. Below stands each curve's first and last
    value, as they are recorded.

    Parameters
    ----------
    width
        At least 30.
    height
        Rows of the drawing itself.
    """
    log = scale_of(group) == "log"
    lines = [points_of(curve, group, positive=log) for curve in group.curves.values()]
    low, high = min(line[1].min() for line in lines), max(line[1].max() for line in lines)
    start, end = min(line[0][0] for line in lines), max(line[0][-1] for line in lines)
    labels = _labels(low, high, height)
    margin = max(map(len, labels))
    canvas = [[" "] * (width - margin - 2) for _ in range(height)]
    for number, line in enumerate(lines):
        x = _places(np.log1p(line[0]) if group.checkpoints else line[0],
                    *(np.log1p([start, end]) if group.checkpoints else (start, end)))  # fmt: skip
        y = _places(np.log(line[1]) if log else line[1],
                    *(np.log([low, high]) if log else (low, high)))  # fmt: skip
        _draw(canvas, x, y, MARKS[number % len(MARKS)])
    rows = [f"{label:>{margin}} ┤{''.join(row)}" for label, row in zip(labels, canvas, strict=True)]
    drawn = [
        group.title + (", logarithmic" if log else ""),
        *rows,
        f"{'':>{margin}} └{'─' * (width - margin - 2)}",
        _below(group, start, end, margin + 2, width),
        *_legend(group),
    ]
    return [line.rstrip()[:width] for line in drawn]


def _labels(low: float, high: float, height: int) -> list[str]:
    if low == high:
        return [f"{low:.4g}" if row == height // 2 else "" for row in range(height)]
    return [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]


def _places(values: Line, low: float, high: float) -> Line:
    """Return values as shares of the way from the lowest to the highest; a half where equal."""
    if low == high:
        return np.full(len(values), 0.5)
    return (values - low) / (high - low)


def _draw(canvas: list[list[str]], x: Line, y: Line, mark: str) -> None:
    """Mark each point, and the way between points in each column."""
    columns, rows = len(canvas[0]) - 1, len(canvas) - 1
    between = np.arange(np.ceil(x[0] * columns), np.floor(x[-1] * columns) + 1)
    at = np.concatenate([between, x * columns])
    values = np.concatenate([np.interp(between / max(columns, 1), x, y), y])
    # Half a row up is the upper row, at the top as at the bottom.
    for column, row in zip(np.rint(at).astype(int), np.rint((1 - values) * rows).astype(int),
                           strict=True):  # fmt: skip
        canvas[row][column] = mark


def _below(group: Group, start: float, end: float, margin: int, width: int) -> str:
    axis = axis_label(group.axis) + (" (logarithmic)" if group.checkpoints else "")
    first, last = f"{start:g}", f"{end:g}"
    middle = axis.center(max(width - margin - len(first) - len(last), 0))
    return f"{'':>{margin}}{first}{middle}{last}"


def _legend(group: Group) -> list[str]:
    return [
        f"  {MARKS[number % len(MARKS)]} {short_name(name, group)}: "
        f"{curve.value[0]:.4g} at {curve.at[0]:g}, {curve.value[-1]:.4g} at {curve.at[-1]:g}"
        for number, (name, curve) in enumerate(group.curves.items())
    ]
