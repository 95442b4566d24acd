"""From cells to the entries of a table: values over seeds, and what is missing of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np
import pandas as pd

from bench.report.frame import STATE
from bench.spec.cell import Scalar
from bench.spec.figure import Panel
from bench.spec.suite import METRIC, Measure, Suite, Table
from bench.stats.intervals import Estimate, mean_interval

SEED = "seed"


class Placed(Protocol):
    """Something that stands at axis values."""

    @property
    def where(self) -> Mapping[str, Scalar]:
        """Axis to value."""


E = TypeVar("E", bound=Placed)


@dataclass(frozen=True)
class Entry:
    """One number of a table: what its seeds gave.

    Attributes
    ----------
    where
        Axis to value, for every axis but the seed; ``metric`` to the metric's name in a table
        of several.
    values
        Seed to value in the measure's unit, for the cells that are done.
    states
        State to how many of the planned cells are in it.
    measure
        The metric, and how it is shown.
    """

    where: Mapping[str, Scalar]
    values: Mapping[Scalar, float]
    states: Mapping[str, int]
    measure: Measure

    @property
    def n(self) -> int:
        """How many seeds are done."""
        return len(self.values)

    @property
    def expected(self) -> int:
        """How many seeds are planned."""
        return sum(self.states.values())

    @property
    def partial(self) -> bool:
        """Whether seeds are missing, running, stale or failed."""
        return self.n < self.expected

    @cached_property
    def estimate(self) -> Estimate:
        """Mean of the seeds that are done, with its 95% interval."""
        return mean_interval(list(self.values.values()))


@dataclass(frozen=True)
class Block(Generic[E]):
    """The entries that are compared with each other: rows × columns at one ``key``."""

    key: tuple[Scalar, ...]
    rows: tuple[Scalar, ...]
    columns: tuple[Scalar, ...]
    entries: Mapping[tuple[Scalar, Scalar], E]

    def column(self, column: Scalar) -> list[E]:
        """Return the entries of one column."""
        return [self.entries[r, column] for r in self.rows if (r, column) in self.entries]


def unit_scale(shown: Measure | Table | Panel) -> float:
    """Return what a record's value is multiplied by to be shown: fractions become percent."""
    return 100.0 if shown.unit == "%" else 1.0


def row_axes(suite: Suite, frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the axes that name a row: the table's, after those that vary beside them.

    An axis that the table does not mention must not be averaged over in silence.
    """
    named = {*suite.table.rows, suite.table.columns, SEED}
    varying = [a for a in suite.axes if a not in named and frame[a].nunique(dropna=False) > 1]
    return (*varying, *suite.table.rows)


def table_entries(frame: pd.DataFrame, suite: Suite) -> list[Entry]:
    """Return the entries of a suite's table, in the plan's order.

    In a table of several metrics a place has no entry for one that none of its records has: it
    is not measured there.
    """
    shown = {*suite.table.rows, suite.table.columns}
    axes = [axis for axis in suite.axes if axis != SEED or axis in shown]
    state = frame[STATE].to_numpy()
    seeds = frame[SEED].to_numpy() if SEED in frame else np.zeros(len(frame), dtype=int)
    named = [frame[axis].to_numpy() for axis in axes]
    measured = [(m, _values(frame, m)) for m in suite.table.measures]
    entries = []
    for positions in _groups(frame, axes):
        where = {axis: column[positions[0]] for axis, column in zip(axes, named, strict=True)}
        states = Counter(state[positions])
        done = [i for i in positions if state[i] == "done"]
        for measure, values in measured:
            if suite.table.metrics and done and np.isnan(values[done]).all():
                continue
            entries.append(
                Entry(
                    where={**where, METRIC: measure.metric} if suite.table.metrics else where,
                    values={seeds[i]: float(values[i]) for i in done},
                    states=states,
                    measure=measure,
                )
            )
    return entries


def _values(frame: pd.DataFrame, measure: Measure) -> np.ndarray:
    if measure.metric not in frame:
        return np.full(len(frame), np.nan)
    return frame[measure.metric].to_numpy() * unit_scale(measure)


def _groups(frame: pd.DataFrame, axes: list[str]) -> Iterator[np.ndarray]:
    # Positions, not sub-frames: a hundred thousand cells make tens of thousands of groups.
    if frame.empty:
        return
    codes = frame.groupby(axes, sort=False, dropna=False).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def arrange(entries: Iterable[E], rows: Sequence[str], column: str) -> list[Block[E]]:
    """Arrange entries as blocks of ``rows[-1]`` × ``column``, one for each value of the rest.

    Blocks, rows and columns come in the order in which they first appear.
    """
    *outer, inner = rows
    blocks: dict[tuple[Scalar, ...], dict[tuple[Scalar, Scalar], E]] = {}
    for entry in entries:
        key = tuple(entry.where[axis] for axis in outer)
        blocks.setdefault(key, {})[entry.where[inner], entry.where[column]] = entry
    return [
        Block(
            key,
            rows=tuple(dict.fromkeys(row for row, _ in cells)),
            columns=tuple(dict.fromkeys(col for _, col in cells)),
            entries=cells,
        )
        for key, cells in blocks.items()
    ]
