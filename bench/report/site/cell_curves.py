"""A cell's learning curves as pictures: one for each group of curves that share a unit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from bench.records.record import Curve, Record
from bench.report import numbers
from bench.report.figures import scales, style, thinning
from bench.report.figures.curve_figure import POINTS, STEP
from bench.report.figures.scales import axis_label, counts, scale_points, scale_values
from bench.report.figures.style import COLOURS, SETTINGS, plain, svg_text
from bench.report.figures.thinning import extremes
from bench.report.values import unit_scale
from bench.spec.metrics import PERCENT
from bench.spec.work import canonical_json

# Values that span more than this are drawn on a logarithmic scale.
_WIDE = 100.0
# Fewer points are marked, so that they are seen as points.
_FEW = 20
# What a reader looks for first; their titles do not say which curve it is.
_FIRST = ("accuracy", "anytime-accuracy", "loss", "penalty")
_DASHES = ("-", "--")
# How the names of curves begin that each task has for itself.
_OF_TASKS = ("anytime", "head", "source", "test", "train", "validation")


@dataclass(frozen=True)
class Group:
    """Curves of one unit, drawn together.

    Attributes
    ----------
    name
        Part of the file's name.
    title
        What is drawn, with its unit.
    percent
        Whether the recorded fractions are shown in percent.
    checkpoints
        Whether it was recorded at the checkpoints of the anytime curves, which are evenly spaced
        on a logarithmic scale.
    """

    name: str
    title: str
    percent: bool
    checkpoints: bool
    curves: Mapping[str, Curve]
    axis: str = STEP

    @property
    def key(self) -> str:
        """Digest of all that the picture depends on: its numbers, and the code that draws it."""
        curves = {n: [list(c.at), [repr(v) for v in c.value]] for n, c in self.curves.items()}
        text = canonical_json(
            [self.title, self.percent, self.checkpoints, self.axis, curves, _drawing_code()]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:10]


def groups(record: Record, units: Mapping[str, str]) -> list[Group]:
    """Return a record's curves that have a finite value, by what they measure.

    Parameters
    ----------
    units
        Curve to its unit, as far as known.
    """
    curves = {n: c for n, c in record.outcome.curves.items() if any(map(math.isfinite, c.value))}
    anytime = {curve.at for name, curve in curves.items() if "anytime" in name.split("/")}
    members: dict[tuple[str, tuple[str, str, bool], str], dict[str, Curve]] = {}
    for name, curve in sorted(curves.items()):
        task, own_name = _split_task(name)
        key = (task, _kind(own_name, units.get(name) == PERCENT), curve.axis)
        members.setdefault(key, {})[name] = curve
    return [
        Group(
            "-".join(map(_plain_name, filter(None, (task, name, "" if axis == STEP else axis)))),
            f"{task}: {title}" if task else title,
            percent,
            any(c.at in anytime for c in own.values()),
            own,
            axis,
        )
        for (task, (name, title, percent), axis), own in sorted(
            members.items(), key=lambda m: (_rank(m[0][1][0]), m[0][0])
        )
    ]


def group_svg(group: Group) -> str:
    """Return a group's picture as SVG, the same bytes for the same numbers."""
    with rc_context(SETTINGS):
        # A layout engine would double the time, which ten thousand cells feel.
        canvas = Canvas(figsize=(4.6, 2.75), facecolor="white")
        FigureCanvasSVG(canvas)
        axes = canvas.subplots()
        canvas.subplots_adjust(left=0.14, right=0.97, bottom=0.17, top=0.90)
        drawn = []
        scale = scale_of(group)
        for i, (name, curve) in enumerate(group.curves.items()):
            points = points_of(curve, group, positive=scale == "log")
            shown: dict[str, Any] = (
                {"marker": ".", "markersize": 5} if points.shape[1] <= _FEW else {}
            )
            # Curves of one unit often lie upon each other: dashes let the lower one through.
            dash = _DASHES[i % len(_DASHES)]
            colour = COLOURS[i % len(COLOURS)]
            label = plain(short_name(name, group))
            axes.plot(*points, label=label, color=colour, linestyle=dash, **shown)
            drawn.append(np.stack([points[1]] * 3))
        scale_values(axes, scale, PERCENT if group.percent else "", drawn)
        whole = counts(point for curve in group.curves.values() for point in curve.at)
        scale_points(axes, "log" if group.checkpoints else "linear", whole=whole)
        axes.set_title(plain(group.title))
        axes.set_xlabel(plain(axis_label(group.axis)))
        if len(group.curves) > 1 or group.name.endswith(_FIRST):
            axes.legend(fontsize=8)
        return svg_text(canvas)


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _split_task(name: str) -> tuple[str, str]:
    """Return the task that a curve is of, empty where there is one alone, and the rest.

    >>> _split_task("digits/anytime/test/top1"), _split_task("anytime/test/top1")
    (('digits', 'anytime/test/top1'), ('', 'anytime/test/top1'))
    """
    task, _, rest = name.partition("/")
    of_task = task not in _OF_TASKS and rest.partition("/")[0] in _OF_TASKS
    return (task, rest) if of_task else ("", name)


def _kind(name: str, percent: bool) -> tuple[str, str, bool]:
    """Return the name of a curve's group, its title, and whether it is a fraction."""
    first, _, rest = name.partition("/")
    last = rest.rpartition("/")[2]
    if first == "anytime":
        if percent:
            return "anytime-accuracy", "anytime accuracy (%)", True
        return f"anytime-{last}", "deployed step" if last == "step" else f"anytime {last}", False
    if percent:
        return "accuracy", "accuracy (%)", True
    if name in ("train/loss", "train/cross_entropy"):
        return "loss", "training loss (nats)", False
    if name == "train/learning_rate":
        return "learning-rate", "learning rate", False
    if first == "penalty":
        return "penalty", "penalties", False
    return _plain_name(name), name.replace("_", " "), percent


def _plain_name(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)[:60]


def short_name(name: str, group: Group) -> str:
    """Return a curve's name as the group's title leaves it."""
    first, _, rest = name.partition("/")
    return rest if first in ("anytime", "penalty", "train") and rest else name


def scale_of(group: Group) -> str:
    """Return the scale of a group's values: ``log`` where they span much, else ``linear``."""
    values = [v for c in group.curves.values() for v in c.value if math.isfinite(v)]
    wide = min(values) > 0 and max(values) / min(values) > _WIDE
    return "log" if wide and not group.percent else "linear"


def points_of(curve: Curve, group: Group, *, positive: bool) -> np.ndarray:
    """Return a curve's finite points as they are shown, ``(2, n)``, of many those that matter.

    Parameters
    ----------
    positive
        Leave out what a logarithmic scale cannot show.
    """
    step = np.asarray(curve.at, dtype=np.float64)
    value = np.asarray(curve.value, dtype=np.float64) * unit_scale(PERCENT if group.percent else "")
    kept = np.isfinite(value) & ((value > 0) | (not positive))
    step, value = step[kept], value[kept]
    place = np.log1p(step) if group.checkpoints else step
    chosen = extremes(place, value, POINTS)
    return np.stack([step[chosen], value[chosen]])


@cache
def _drawing_code() -> str:
    files = [__file__, *(m.__file__ for m in (scales, style, thinning, numbers))]
    digest = hashlib.sha256(matplotlib.__version__.encode())
    for file in files:
        digest.update(Path(str(file)).read_bytes())
    return digest.hexdigest()
