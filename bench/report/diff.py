"""What changed between two sets of cells: by how much, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Literal

import pandas as pd

from bench.errors import UserError, did_you_mean
from bench.report.frame import CELL, STATE, frame_axes, frame_metrics
from bench.report.values import metric_unit, metric_value, unit_scale
from bench.spec.cell import SEED
from bench.spec.metrics import complement_of
from bench.stats.family import holm
from bench.stats.intervals import Estimate, mean_interval, paired_difference, welch_difference
from bench.stats.ttests import one_sided, one_sided_welch

LEVEL = 0.05
PlaceText = tuple[tuple[str, str], ...]
Values = Mapping[str, float]


@dataclass(frozen=True)
class Side:
    """One of the two: a store's cells, or a leaderboard's CSV, and how it was named.

    Attributes
    ----------
    frame
        One row a cell, as ``report.frame.cell_frame`` makes it and ``read_frame`` reads it.
    units
        Metric to its unit, where a plan declares it: a CSV has numbers alone.
    """

    name: str
    frame: pd.DataFrame
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> list[str]:
        """The axes without the seed."""
        return [axis for axis in frame_axes(self.frame) if axis != SEED]

    @property
    def metrics(self) -> list[str]:
        """The metrics of its cells."""
        return frame_metrics(self.frame)


@dataclass(frozen=True)
class Change:
    """One place in both: B less A.

    Attributes
    ----------
    where
        Axis to value, as text, of the axes that vary.
    a, b
        Mean of each with its 95% interval, as shown (fractions in percent).
    difference
        B − A with its 95% interval.
    paired
        Whether it is paired by seed, because both have the same seeds.
    p
        Two-sided, after Holm's correction over the entries that differ at all; NaN where fewer
        than two seeds cannot say, or all numbers are identical.
    identical
        Whether both have the same seeds with the same numbers.
    """

    where: Mapping[str, str]
    a: Estimate
    b: Estimate
    difference: Estimate
    paired: bool
    p: float
    identical: bool

    @property
    def kind(self) -> Literal["identical", "changed", "within noise", "one seed"]:
        """What is to be said of it."""
        if self.identical:
            return "identical"
        if math.isnan(self.p):
            return "one seed"
        return "changed" if self.p <= LEVEL else "within noise"


@dataclass(frozen=True)
class Diff:
    """All that two sides have in common, and what they have not.

    Attributes
    ----------
    only_a, only_b
        Places of one side alone that have numbers.
    settings
        Axis to (value in A, value in B), where each side has one value of it.
    cells
        Ids in A and in B of the cells at the same place and seed.
    """

    metric: str
    unit: str
    changes: tuple[Change, ...]
    only_a: tuple[Mapping[str, str], ...]
    only_b: tuple[Mapping[str, str], ...]
    settings: Mapping[str, tuple[str, str]]
    cells: tuple[tuple[str, str], ...]

    @property
    def same_cells(self) -> tuple[int, int]:
        """How many cells at the same place and seed have the same id, of how many."""
        return sum(one == other for one, other in self.cells), len(self.cells)

    @property
    def changed(self) -> bool:
        """Whether anything changed by more than noise."""
        return any(change.kind == "changed" for change in self.changes)

    @property
    def different(self) -> bool:
        """Whether anything is not identical, or in one of them alone."""
        same = all(change.identical for change in self.changes)
        return not same or bool(self.only_a or self.only_b)


def diff(a: Side, b: Side, metric: str) -> Diff:
    """Compare two sides in one metric, entry by entry.

    Where both have the same seeds, differences are paired by seed; else Welch's test is made,
    which is too wide where they share some.

    Raises
    ------
    UserError
        If one has no such metric, they have different axes, or no place in common.
    """
    axes, settings = _axes(a, b)
    left, right = _places(a, axes, metric), _places(b, axes, metric)
    common = [place for place in left if place in right]
    if not common:
        raise UserError(
            f"{a.name} and {b.name} have no entry with numbers in common",
            remedy=f"they are compared by {', '.join(axes) or 'nothing'}, at equal values",
        )
    unit = {**a.units, **b.units}.get(metric, metric_unit(metric))
    scale = unit_scale(unit)
    changes = [_change(place, left[place], right[place], scale) for place in common]
    adjusted = holm([change.p for change in changes])
    return Diff(
        metric,
        unit,
        tuple(replace(change, p=p) for change, p in zip(changes, adjusted, strict=True)),
        tuple(dict(place) for place in left if place not in right),
        tuple(dict(place) for place in right if place not in left),
        settings,
        _cells(a, b, axes),
    )


def known_metrics(a: Side, b: Side) -> list[str]:
    """Return the metrics that both have."""
    theirs = b.metrics
    return [name for name in a.metrics if name in theirs]


def _axes(a: Side, b: Side) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Return the axes that name an change, and those that are a setting of each side."""
    first, second = _single_values(a), _single_values(b)
    ours, theirs = a.axes, b.axes
    axes, settings = [], {}
    for axis in dict.fromkeys([*ours, *theirs]):
        if axis in first and axis in second and first[axis] != second[axis]:
            settings[axis] = (first[axis], second[axis])
        elif axis in ours and axis in theirs:
            axes.append(axis)
        elif axis not in first and axis not in second:
            owner, other = (a, b) if axis in ours else (b, a)
            raise UserError(
                f"{owner.name} has several values of {axis}, and {other.name} has no such axis",
                remedy="compare leaderboards of one suite",
            )
    return axes, settings


def _single_values(side: Side) -> dict[str, str]:
    """Return axis to its value, of the axes with one value."""
    values = {axis: set(_texts(side, axis)) for axis in side.axes}
    return {axis: next(iter(own)) for axis, own in values.items() if len(own) == 1}


def _places(side: Side, axes: Sequence[str], metric: str) -> dict[PlaceText, dict[str, float]]:
    """Return place to seed to value, of the cells that are done."""
    known = side.metrics
    recorded = metric if metric in known else complement_of(metric)
    if recorded not in known:
        raise UserError(f"{side.name} has no metric {metric!r}", remedy=did_you_mean(metric, known))
    done = side.frame[STATE] == "done"
    measured = replace(side, frame=side.frame[done & side.frame[recorded].notna()])
    found: dict[PlaceText, dict[str, float]] = {}
    for (place, seed), own in zip(_keys(measured, axes), measured.frame[recorded], strict=True):
        value = metric_value({recorded: own}, metric)
        if value is not None:
            found.setdefault(place, {})[seed] = value
    return found


def _keys(side: Side, axes: Sequence[str]) -> list[tuple[PlaceText, str]]:
    """Return the place and the seed of each cell."""
    columns = [[(axis, text) for text in _texts(side, axis)] for axis in axes]
    places = zip(*columns, strict=True) if columns else repeat((), len(side.frame))
    seeds = _texts(side, SEED) if SEED in side.frame else repeat("", len(side.frame))
    return list(zip(places, seeds, strict=True))


def _texts(side: Side, axis: str) -> list[str]:
    return [_text(value) for value in side.frame[axis]]


def _text(value: object) -> str:
    """Return an axis value as text, the same from YAML and from CSV: 1.0, "1.00" and 1 agree."""
    if isinstance(value, bool):
        return str(value)
    try:
        return f"{float(str(value)):.12g}"
    except ValueError:
        return str(value)


def _change(place: PlaceText, a: Values, b: Values, scale: float) -> Change:
    seeds = list(a)
    paired = set(a) == set(b)
    second = [b[s] * scale for s in (seeds if paired else b)]
    first = [a[s] * scale for s in seeds]
    identical = paired and first == second
    differ = paired_difference if paired else welch_difference
    difference = differ(second, first)
    p = math.nan if identical else _p(first, second, paired)
    return Change(
        dict(place), mean_interval(first), mean_interval(second), difference, paired, p, identical
    )


def _p(first: Sequence[float], second: Sequence[float], paired: bool) -> float:
    if min(len(first), len(second)) < 2:
        return math.nan
    if not paired:
        return one_sided_welch(second, first).p_two_sided
    return one_sided([y - x for x, y in zip(first, second, strict=True)]).p_two_sided


def _cells(a: Side, b: Side, axes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    left, right = (zip(_keys(side, axes), side.frame[CELL], strict=True) for side in (a, b))
    theirs = dict(right)
    return tuple((cell, theirs[key]) for key, cell in left if key in theirs)
