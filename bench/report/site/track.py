"""What a site is made of: suites under a profile, with what the store holds of their cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.records.record import Record
from bench.records.store import CellState
from bench.report.claims.further import Further
from bench.spec.cell import Scalar
from bench.spec.expand import Plan
from bench.spec.paper import Reported


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
    further: Further | None = None

    @cached_property
    def records(self) -> dict[str, Record]:
        """Cell id to its fresh done record."""
        return {
            cell_id: state.record
            for cell_id, state in self.states.items()
            if state.state == "done" and state.record is not None
        }

    @property
    def begun(self) -> bool:
        """Whether any of its cells has been attempted."""
        return any(state.attempts for state in self.states.values())

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """The axes that tell the plan's cells apart, the seed among them."""
        shown = [p.labels for p in self.plan.cells if p.labels]
        return tuple(
            axis
            for axis in self.plan.suite.axes
            if axis == "seed" or len({labels.get(axis) for labels in shown}) > 1
        )

    @cached_property
    def places(self) -> dict[tuple[tuple[str, Scalar], ...], int]:
        """Axis values but the seed's, sorted by axis, to the place's number in the plan."""
        numbers: dict[tuple[tuple[str, Scalar], ...], int] = {}
        for planned in self.plan.cells:
            if planned.labels:
                numbers.setdefault(place_of(planned.labels), len(numbers))
        return numbers


def place_of(labels: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    """Return axis values as a key, without what does not name a place: seed and metric."""
    return tuple(sorted((a, v) for a, v in labels.items() if a not in ("seed", "metric")))
