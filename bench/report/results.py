"""From records to numbers: the one road from a plan's cells to values by place and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from bench.errors import SpecError, did_you_mean
from bench.records.carried import Attestation
from bench.records.record import Record
from bench.report.crossing import Undefined
from bench.report.values import record_value, unit_scale
from bench.spec.cell import SEED, PlannedCell
from bench.spec.metrics import complement_of
from bench.spec.plan import Plan
from bench.spec.recipe import Scalar
from bench.spec.suite import METRIC, ShownMetric
from bench.stats.intervals import Estimate, mean_interval

Arrays = NDArray[Any]
PlaceKey = frozenset[tuple[str, Scalar]]


class State(Protocol):
    """What the store knows of a cell: its state's name, and why it is stale."""

    @property
    def state(self) -> str:
        """One of ``done``, ``stale``, ``failed``, ``running``, ``missing``."""

    @property
    def reasons(self) -> Iterable[str]:
        """Why a stale record may not be used."""

    @property
    def disagrees(self) -> bool:
        """Whether other fresh records of the cell have other numbers."""

    @property
    def carried_by(self) -> Sequence[Attestation]:
        """What carries the record that counts from earlier code to today's; nothing need."""


class Placed(Protocol):
    """Something that stands at axis values."""

    @property
    def where(self) -> Mapping[str, Scalar]:
        """Axis to value."""


E = TypeVar("E", bound=Placed)


@dataclass(frozen=True)
class Entry:
    """One number of a table, or one value that a claim compares: what its seeds gave.

    Attributes
    ----------
    where
        Axis to value, for every axis but the seed; ``metric`` to the metric's name in a table
        of several.
    values
        Seed to value in the metric's unit, for the cells that are done and have one.
    states
        State to how many of the planned cells are in it.
    shown
        The metric, and how it is shown.
    undefined
        Seed to why its record has no value although it has the curves. A mean over the other
        seeds would be one over those that happened to get there.
    """

    where: Mapping[str, Scalar]
    values: Mapping[Scalar, float]
    states: Mapping[str, int]
    shown: ShownMetric
    undefined: Mapping[Scalar, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many seeds have a value."""
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


def no_arrays(record: Record) -> Mapping[str, Arrays]:
    """Return no arrays: where there is no store to read them from."""
    return {}


@dataclass(frozen=True)
class Results:
    """A plan with what the store has of it: all that tables, figures and claims are made of.

    Attributes
    ----------
    records
        Cell id to its fresh done record; what is not here is not averaged.
    states
        Cell id to its state in the store; a cell that is absent is missing.
    arrays
        Reads the arrays that a record's cell left.
    """

    plan: Plan
    records: Mapping[str, Record]
    states: Mapping[str, State]
    arrays: Callable[[Record], Mapping[str, Arrays]] = field(default=no_arrays, compare=False)

    def state(self, cell_id: str) -> str:
        """Return a cell's state for the report: ``done`` exactly if it has a record to show."""
        if cell_id in self.records:
            return "done"
        known = self.states[cell_id].state if cell_id in self.states else "missing"
        # That somebody pressed Ctrl-C is nothing for a page.
        return "missing" if known in ("done", "interrupted") else known

    @cached_property
    def disagreeing(self) -> tuple[str, ...]:
        """Ids of the plan's cells of which there are records with other numbers than are shown."""
        ids = dict.fromkeys(planned.cell.id for planned in self.plan.cells)
        return tuple(i for i in ids if i in self.states and self.states[i].disagrees)

    @cached_property
    def places(self) -> dict[PlaceKey, tuple[PlannedCell, ...]]:
        """The cells of the table at each place, seed by seed, in the plan's order."""
        found: dict[PlaceKey, list[PlannedCell]] = {}
        for planned in self.plan.shown:
            found.setdefault(place_key(planned.place), []).append(planned)
        return {key: tuple(cells) for key, cells in found.items()}

    def own_records(self, *, shown: bool = False) -> list[Record]:
        """Return the records of the plan's cells, each once; with ``shown`` the table's only."""
        cells = self.plan.shown if shown else self.plan.cells
        ids = dict.fromkeys(planned.cell.id for planned in cells)
        return [self.records[i] for i in ids if i in self.records]

    def entries(self, shown: ShownMetric) -> list[Entry]:
        """Return one entry for each place, in the plan's order.

        A record that has no such metric or curve, or a curve that begins later than it is read,
        gives no value.
        """
        return [self.entry(cells, shown) for cells in self.places.values()]

    def entry(self, cells: Sequence[PlannedCell], shown: ShownMetric) -> Entry:
        """Return the entry of cells that differ in their seed alone."""
        scale = unit_scale(shown.unit)
        values: dict[Scalar, float] = {}
        undefined: dict[Scalar, str] = {}
        for planned in cells:
            record = self.records.get(planned.cell.id)
            value = None if record is None else record_value(record, shown, self.plan.curves)
            if isinstance(value, Undefined):
                undefined[seed_of(planned)] = value.why
            elif value is not None:
                values[seed_of(planned)] = scale * value
        states = Counter(self.state(planned.cell.id) for planned in cells)
        return Entry(cells[0].place, values, states, shown, undefined)

    def table(self) -> list[Entry]:
        """Return the entries of the suite's table, in the plan's order.

        In a table of several metrics a place has no entry for one that none of its records has: it
        is not measured there. One that is undefined at a seed has no values at all.

        Raises
        ------
        SpecError
            If there are records and none of them has a metric of the table.
        """
        self._check_metrics()
        suite, found = self.plan.suite, []
        for cells in self.places.values():
            for shown in suite.metrics:
                entry = self.entry(cells, shown)
                measured = entry.n or entry.undefined or not entry.states.get("done")
                if entry.undefined:
                    entry = replace(entry, values={})
                if not suite.table.metrics:
                    found.append(entry)
                elif measured:
                    found.append(replace(entry, where={**entry.where, METRIC: shown.name}))
        return found

    @cached_property
    def metrics(self) -> frozenset[str]:
        """Every metric that a record of the table has."""
        records = self.own_records(shown=True)
        return frozenset(name for record in records for name in record.outcome.metrics)

    def _check_metrics(self) -> None:
        for shown in self.plan.suite.metrics:
            name = shown.metric
            if shown.at is None and self.metrics and not {name, complement_of(name)} & self.metrics:
                raise SpecError(
                    f"no record has the metric {name!r}",
                    file=self.plan.file,
                    field="table.metric",
                    remedy=did_you_mean(name, sorted(self.metrics)),
                )


def seed_of(planned: PlannedCell) -> Scalar:
    """Return the seed of a planned cell; the cell's own where it stands behind the table."""
    return planned.cell.seed if planned.seed is None else planned.seed


def place_key(where: Mapping[str, Scalar]) -> PlaceKey:
    """Return axis values as something to look up, without what names no place: seed and metric."""
    return frozenset((axis, v) for axis, v in where.items() if axis not in (SEED, METRIC))


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


def row_axes(plan: Plan) -> tuple[str, ...]:
    """Return the axes that name a row: the table's, after those that vary beside them.

    An axis that the table does not mention must not be averaged over in silence.
    """
    table = plan.suite.table
    named = {*table.rows, table.columns}
    return (*(axis for axis in varying_axes(plan) if axis not in named), *table.rows)


def varying_axes(plan: Plan) -> list[str]:
    """Return the axes but the seed of which the cells of the table have several values."""
    return [
        a for a in plan.suite.axes if a != SEED and len({p.place.get(a) for p in plan.shown}) > 1
    ]


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
