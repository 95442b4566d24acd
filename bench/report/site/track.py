"""What a site is made of: suites under a profile, with what the store holds of their cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.records.record import Record
from bench.records.store import CellState
from bench.report.claims.further import Further
from bench.report.results import Arrays, PlaceKey, Results, no_arrays, varying_axes
from bench.spec.cell import SEED
from bench.spec.paper import Reported
from bench.spec.plan import Plan


@dataclass(frozen=True)
class Track:
    """A suite under one profile.

    Attributes
    ----------
    states
        Cell id to its state in the store, for every cell of the plan.
    further
        The seeds beyond the suite's own, where claims were settled by a sequential rule.
    """

    plan: Plan
    states: Mapping[str, CellState]
    reported: Reported | None = None
    arrays: Callable[[Record], Mapping[str, Arrays]] = no_arrays
    further: Further | None = None

    @cached_property
    def records(self) -> dict[str, Record]:
        """Cell id to its fresh done record."""
        return {
            cell_id: state.record
            for cell_id, state in self.states.items()
            if state.state == "done" and state.record is not None
        }

    @cached_property
    def results(self) -> Results:
        """The plan with its records, as the report takes them."""
        return Results(self.plan, self.records, self.states, self.arrays)

    @property
    def begun(self) -> bool:
        """Whether any of its cells has been attempted."""
        return any(state.attempts for state in self.states.values())

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """The axes that tell the plan's cells apart, the seed among them."""
        several = varying_axes(self.plan)
        return tuple(axis for axis in self.plan.suite.axes if axis == SEED or axis in several)

    @cached_property
    def numbers(self) -> dict[PlaceKey, int]:
        """A place to its number in the plan."""
        return {place: number for number, place in enumerate(self.results.places)}
