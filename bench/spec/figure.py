"""A figure of curves as written: panels below each other, lines by one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from bench.spec.recipe import Frozen, Items, Pair, Scalar

# Kinds that show arrays: they have rows by an axis only where one is written.
_OF_ARRAYS = ("heatmap", "images", "valley")


class Panel(Frozen):
    """One row of a figure: a curve of the records, and how it is drawn.

    Attributes
    ----------
    limits
        Of heat maps: the values at both ends of the colours, so that pictures can be compared;
        the lowest and the highest value drawn where absent.
    down, across
        Of heat maps: what rows and columns are.
    """

    curve: str
    label: str | None = None
    scale: Literal["linear", "log"] = "linear"
    limits: Pair[float] | None = None
    down: str | None = None
    across: str | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Panel:
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits are [low, high] with low < high, not {[*self.limits]}")
        if self.limits is not None and self.scale == "log" and self.limits[0] <= 0:
            raise ValueError("limits of a logarithmic scale are above 0")
        return self


class Figure(Frozen):
    """Curves over steps or another axis, or maps of arrays, in the paper's arrangement.

    Attributes
    ----------
    source
        The paper's figure that it is arranged after.
    lines
        Axis with a line for each of its values; ``symbol`` stands before the values in the
        legend.
    columns
        Axis with a column of panels for each of its values. Of every other axis that varies,
        each combination of values is a picture of its own.
    kind
        ``curves``; another kind's name: ``heatmap``, ``valley`` and ``images``, whose panels name
        arrays, ``points``, whose panels name metrics, or ``trade-off``, whose panels' curves
        stand over another one.
    points, over
        Of the kind ``points``: the axis with a point for each of its values, and the metric over
        which they stand; over the axis's values where absent. Of a trade-off: the other curve.
    panels
        From top to bottom.
    steps
        Scale of the steps, or of what points stand over; logarithmic steps are linear below 1, so
        that step 0 has a place.
    region
        Of curves: from where to where their axis is marked, such as the part of a line that is
        between its two networks.
    where
        The cells drawn: axis to a value or several.
    seeds
        How many seeds to draw, the first ones, each as a line of its own without a band; all
        seeds' mean with its band where absent.
    """

    title: str
    source: str = ""
    lines: str = "method"
    symbol: str | None = None
    columns: str | None = None
    points: str | None = None
    over: str | None = None
    kind: str = "curves"
    panels: Annotated[Items[Panel], Field(min_length=1)]
    steps: Literal["log", "linear"] = "log"
    region: Pair[float] | None = None
    where: dict[str, Scalar | Items[Scalar]] = {}
    seeds: PositiveInt | None = None

    @model_validator(mode="after")
    def _points_stand_over_something(self) -> Figure:
        if (self.kind == "points") != (self.points is not None):
            raise ValueError("`kind: points` and an axis of `points` need each other")
        trades = self.kind == "trade-off"
        if trades and self.over is None:
            raise ValueError("`kind: trade-off` needs the curve that its panels stand over (over:)")
        if self.over is not None and self.points is None and not trades:
            raise ValueError("only points stand over a metric, and a trade-off over a curve")
        if trades and self.over in {panel.curve for panel in self.panels}:
            raise ValueError("a trade-off is of two curves, and `over` is one of its panels")
        if trades and self.seeds is not None:
            raise ValueError("a trade-off draws each seed beside the mean: leave seeds out")
        return self

    @model_validator(mode="after")
    def _settings_are_of_the_kind(self) -> Figure:
        if self.region is not None and self.kind != "curves":
            raise ValueError("only curves have a region")
        if self.region is not None and not self.region[0] < self.region[1]:
            raise ValueError(f"a region is [low, high] with low < high, not {[*self.region]}")
        for panel in self.panels if self.kind != "heatmap" else ():
            if panel.limits is not None or panel.down or panel.across:
                raise ValueError("limits, down and across are settings of a heatmap's panels")
        return self

    @property
    def line_axis(self) -> str | None:
        """The axis with a line, or row, for each value; None of arrays where none is written."""
        written = self.kind not in _OF_ARRAYS or "lines" in self.model_fields_set
        return self.lines if written else None

    def selection(self) -> dict[str, tuple[Scalar, ...]]:
        """Return ``where`` with each axis's values as a tuple."""
        return {a: v if isinstance(v, tuple) else (v,) for a, v in self.where.items()}

    def selects(self, labels: Mapping[str, Scalar]) -> bool:
        """Whether a cell at these axis values is drawn."""
        return all(labels.get(axis) in values for axis, values in self.selection().items())
