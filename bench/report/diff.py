"""What changed between two sets of cells: by how much, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Literal

import pandas as pd

from bench.errors import UserError, did_you_mean
from bench.report.aggregate import SEED
from bench.report.claims.curve_value import FRACTIONS
from bench.report.frame import CELL, STATE, metric_value
from bench.spec.metrics import complement_of
from bench.stats.family import holm
from bench.stats.intervals import Estimate, mean_interval, paired_difference, welch_difference
from bench.stats.signflip import sign_flip
from bench.stats.ttests import one_sided, one_sided_welch

LEVEL = 0.05
Place = tuple[tuple[str, str], ...]
Values = Mapping[str, float]


@dataclass(frozen=True)
class Side:
    """One of the two: a store's cells, or a leaderboard's CSV.

    Attributes
    ----------
    name
        How it was named.
    frame
        One row a cell, as ``report.frame.cell_frame`` makes it: axes, ``cell``, ``state``,
        metrics.
    """

    name: str
    frame: pd.DataFrame

    @property
    def axes(self) -> list[str]:
        """The axes, without the seed."""
        columns = list(self.frame.columns)
        return [axis for axis in columns[: columns.index(CELL)] if axis != SEED]

    @property
    def metrics(self) -> list[str]:
        """The metrics of its records."""
        return list(self.frame.columns[list(self.frame.columns).index(STATE) + 1 :])


@dataclass(frozen=True)
class Entry:
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
    def verdict(self) -> Literal["identical", "changed", "within noise", "one seed"]:
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
    entries: tuple[Entry, ...]
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
        return any(entry.verdict == "changed" for entry in self.entries)

    @property
    def different(self) -> bool:
        """Whether anything is not identical, or in one of them alone."""
        same = all(entry.identical for entry in self.entries)
        return not same or bool(self.only_a or self.only_b)


def side_of_csv(text: str, name: str) -> Side:
    """Return a leaderboard's CSV as a side.

    Raises
    ------
    UserError
        If it is none.
    """
    try:
        frame = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"is not a CSV: {error}", file=name) from None
    columns = list(frame.columns)
    if CELL not in columns or columns[columns.index(CELL) + 1 :][:1] != [STATE]:
        raise UserError(
            "is not a leaderboard's CSV: it has no columns cell, state",
            file=name,
            remedy="`bench report` writes it beside the page, one row a cell",
        )
    for metric in columns[columns.index(STATE) + 1 :]:
        frame[metric] = pd.to_numeric(frame[metric], errors="coerce")
    return Side(name, frame)


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
    unit = "%" if metric.rpartition("/")[2] in FRACTIONS else ""
    scale = 100.0 if unit else 1.0
    entries = [_entry(place, left[place], right[place], scale) for place in common]
    adjusted = holm([entry.p for entry in entries])
    return Diff(
        metric,
        unit,
        tuple(replace(entry, p=p) for entry, p in zip(entries, adjusted, strict=True)),
        tuple(dict(place) for place in left if place not in right),
        tuple(dict(place) for place in right if place not in left),
        settings,
        _cells(a, b, axes),
    )


def known_metrics(a: Side, b: Side) -> list[str]:
    """Return the metrics that both have."""
    return [name for name in a.metrics if name in b.metrics]


def _axes(a: Side, b: Side) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Return the axes that name an entry, and those that are a setting of each side."""
    first, second = (
        {axis: _text(side.frame[axis].iloc[0]) for axis in side.axes if _one(side, axis)}
        for side in (a, b)
    )
    axes, settings = [], {}
    for axis in dict.fromkeys([*a.axes, *b.axes]):
        if axis in first and axis in second and first[axis] != second[axis]:
            settings[axis] = (first[axis], second[axis])
        elif axis in a.axes and axis in b.axes:
            axes.append(axis)
        elif axis not in first and axis not in second:
            owner, other = (a, b) if axis in a.axes else (b, a)
            raise UserError(
                f"{owner.name} has several values of {axis}, and {other.name} has no such axis",
                remedy="compare leaderboards of one suite",
            )
    return axes, settings


def _one(side: Side, axis: str) -> bool:
    return int(side.frame[axis].map(_text).nunique()) == 1


def _places(side: Side, axes: Sequence[str], metric: str) -> dict[Place, dict[str, float]]:
    """Return place to seed to value, of the cells that are done."""
    base = complement_of(metric) or metric
    if metric not in side.metrics and base not in side.metrics:
        raise UserError(
            f"{side.name} has no metric {metric!r}", remedy=did_you_mean(metric, side.metrics)
        )
    found: dict[Place, dict[str, float]] = {}
    for row in _rows(side, axes):
        value = metric_value(row.metrics, metric)
        if row.state == "done" and value is not None and not math.isnan(value):
            found.setdefault(row.place, {})[row.seed] = value
    return found


@dataclass(frozen=True)
class _Row:
    place: Place
    seed: str
    cell: str
    state: str
    metrics: Mapping[str, float]


def _rows(side: Side, axes: Sequence[str]) -> Iterable[_Row]:
    columns = {name: side.frame[name].tolist() for name in side.frame.columns}
    metrics = {name: columns[name] for name in side.metrics}
    for i in range(len(side.frame)):
        yield _Row(
            tuple((axis, _text(columns[axis][i])) for axis in axes),
            _text(columns[SEED][i]) if SEED in columns else "",
            str(columns[CELL][i]),
            str(columns[STATE][i]),
            {name: values[i] for name, values in metrics.items()},
        )


def _text(value: object) -> str:
    """Return an axis value as text, the same from YAML and from CSV: 1.0, "1.00" and 1 agree."""
    if isinstance(value, bool):
        return str(value)
    try:
        return f"{float(str(value)):.12g}"
    except ValueError:
        return str(value)


def _entry(place: Place, a: Values, b: Values, scale: float) -> Entry:
    seeds = list(a)
    paired = set(a) == set(b)
    second = [b[s] * scale for s in (seeds if paired else b)]
    first = [a[s] * scale for s in seeds]
    identical = paired and first == second
    differ = paired_difference if paired else welch_difference
    difference = differ(second, first)
    p = math.nan if identical else _p(first, second, difference, paired)
    return Entry(
        dict(place), mean_interval(first), mean_interval(second), difference, paired, p, identical
    )


def _p(
    first: Sequence[float], second: Sequence[float], difference: Estimate, paired: bool
) -> float:
    if min(len(first), len(second)) < 2:
        return math.nan
    if not paired:
        return one_sided_welch(second, first).p_two_sided
    differences = [y - x for x, y in zip(first, second, strict=True)]
    # Equal differences are no proof of a spread of zero.
    return sign_flip(differences).p if difference.sd == 0 else one_sided(differences).p_two_sided


def _cells(a: Side, b: Side, axes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    right = {(row.place, row.seed): row.cell for row in _rows(b, axes)}
    left = (((row.place, row.seed), row.cell) for row in _rows(a, axes))
    return tuple((cell, right[key]) for key, cell in left if key in right)
