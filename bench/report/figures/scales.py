"""Axes of a picture of curves: logarithmic steps with a place for 0, plain numbers at ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from bench.report.numbers import compact

Points = NDArray[np.float64]
_GREEK = {"alpha": "α", "epsilon": "ε", "lambda": "λ", "sigma": "σ"}


def scale_points(axes: Any, scale: str, *, whole: bool = True) -> None:
    """Scale the axis of what curves run over; a logarithmic one is linear from 0 to 1.

    Parameters
    ----------
    whole
        Whether it counts: steps, tasks and modules have no fractions.
    """
    if scale == "log":
        low, high = axes.dataLim.intervalx
        for shared in axes.get_shared_x_axes().get_siblings(axes):
            low, high = min(low, shared.dataLim.x0), max(high, shared.dataLim.x1)
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        axes.set_xlim(low / 1.2 if low >= 1 else low - 0.2, max(high, 1) * 1.2)
        axes.xaxis.set_major_locator(FixedLocator(step_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        # Of fractions no thirds: −1, 0, 1, 2.
        steps = None if whole else [1, 2, 5, 10]
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole, steps=steps))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if whole else _fraction(axes, value))
    )


def _fraction(axes: Any, value: float) -> str:
    low, high = axes.get_xlim()
    # A tick at zero is a sum of fractions, and may be a rounding error beside it.
    return _tick(value if abs(value) > 1e-9 * (high - low) else 0.0)


def axis_label(axis: str) -> str:
    """Return how the axis of curves is named: a Greek letter by its sign.

    >>> axis_label("lambda"), axis_label("training_step")
    ('λ', 'training step')
    """
    return _GREEK.get(axis, axis.replace("_", " "))


def counts(points: Iterable[float]) -> bool:
    """Return whether points of an axis count: steps, tasks, modules.

    >>> counts([1.0, 2.0]), counts([0.0, 0.05, 1.0]), counts([-1.0, 0.0])
    (True, False, False)
    """
    return all(point >= 0 and float(point).is_integer() for point in points)


def step_ticks(low: float, high: float) -> list[float]:
    """Return 0 and powers of ten from ``low`` to ``high``, and 2 and 5 times them if few.

    >>> step_ticks(0, 3000), step_ticks(0, 13)
    ([0.0, 1.0, 10.0, 100.0, 1000.0], [0.0, 1.0, 2.0, 5.0, 10.0])
    """
    powers = [10.0**k for k in range(math.ceil(math.log10(max(high, 1.0))) + 1)]
    factors = (1,) if high / max(low, 1.0) > 100 else (1, 2, 5)
    ticks = [0.0, *(factor * power for power in powers for factor in factors)]
    return [tick for tick in ticks if low <= tick <= high] or [low]


def scale_values(axes: Any, scale: str, unit: str, drawn: Sequence[Points]) -> None:
    """Scale the values' axis, its ticks without mathematical type, and fit it to what is drawn.

    It never goes beyond what the unit allows: an interval of few seeds may.

    Parameters
    ----------
    unit
        Of the values; percent end at 0 and 100.
    drawn
        ``(3, points)`` each: mean, low, high.
    """
    values = np.concatenate(drawn, axis=1) if drawn else np.array([[1.0], [1.0], [1.0]])
    if scale == "log":
        # The low end of an interval may be next to zero, or below.
        low, high = max(values[values > 0].min(), values[0].min() / 10), values.max()
        axes.set_yscale("log")
        axes.set_ylim(low / 1.15, high * 1.15)
        few = math.log10(high / low) < 2
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        if unit == "%":
            values = values.clip(0, 100)
        margin = 0.04 * (values.max() - values.min() or abs(values.max()) or 1)
        axes.set_ylim(values.min() - margin, values.max() + margin)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    text = compact(value)
    return f"−{text[1:]}" if text.startswith("-") else text
