"""Seeds that ``bench run --until-decided`` has added to a suite's own.

Claims alone are judged by them. Tables and figures keep to the suite's own seeds: which cells got
more depends on what they showed, and a mean over them would be a little too extreme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.records.record import Record
from bench.report.aggregate import SEED, Entry, unit_scale
from bench.report.claims.curve_value import record_value
from bench.report.frame import State, cell_frame, cell_state, frame_csv
from bench.spec.cell import PlannedCell, Scalar
from bench.spec.claims import At
from bench.spec.expand import Plan
from bench.stats.sequential.looks import Looks

Place = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Further:
    """The suite with seeds up to the last look, and the looks by which claims are judged.

    Attributes
    ----------
    plan
        The suite with at least as many seeds everywhere as the last look has.
    records, states
        As of the suite's own cells, for all of the plan's.
    every
        Whether claims without promise are followed too.
    """

    plan: Plan
    records: Mapping[str, Record]
    states: Mapping[str, State]
    looks: Looks
    every: bool = False

    @cached_property
    def planned(self) -> dict[Place, dict[Scalar, PlannedCell]]:
        """Place to its cells by seed, in the order in which seeds are made."""
        found: dict[Place, dict[Scalar, PlannedCell]] = {}
        for planned in self.plan.cells:
            if planned.labels:
                found.setdefault(place_of(planned.labels), {})[planned.labels.get(SEED, 0)] = (
                    planned
                )
        return found

    def lengthened(self, entries: Sequence[Entry], at: At | None) -> list[Entry]:
        """Return a suite's entries with their further seeds, up to the first that lacks a value.

        Looks are at the first so many seeds: a seed behind a gap would be one of those that
        happened to end well.
        """
        return [self._lengthened(entry, at) for entry in entries]

    def _lengthened(self, entry: Entry, at: At | None) -> Entry:
        values: dict[Scalar, float] = {}
        scale = unit_scale(entry.measure)
        for seed, planned in self.planned[place_of(entry.where)].items():
            record = self.records.get(planned.cell.id)
            value = None if record is None else record_value(record, entry.measure.metric, at)
            if value is None:
                break
            values[seed] = scale * value
        more = max(len(values) - entry.expected, 0)
        states = {**entry.states, "done": entry.states.get("done", 0) + more}
        return replace(entry, values=values, states=states)

    def cells(self, place: Mapping[str, Scalar], seeds: int) -> list[PlannedCell]:
        """Return the cells of a place's first seeds that are not done."""
        first = list(self.planned[place_of(place)].values())[:seeds]
        return [p for p in first if cell_state(p.cell.id, self.records, self.states) != "done"]


def further_csv(further: Further, plan: Plan) -> str:
    """Return the further seeds' cells that are done as CSV; empty where there are none yet.

    Parameters
    ----------
    plan
        The suite with its own seeds alone.
    """
    own = {planned.cell.id for planned in plan.cells}
    done = tuple(
        planned
        for planned in further.plan.cells
        if planned.labels and planned.cell.id not in own and planned.cell.id in further.records
    )
    if not done:
        return ""
    return frame_csv(cell_frame(replace(plan, cells=done), further.records, further.states))


def place_of(labels: Mapping[str, Scalar]) -> Place:
    """Return axis values without the seed, as something to look up."""
    return tuple((axis, value) for axis, value in labels.items() if axis != SEED)
