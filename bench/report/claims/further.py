"""Seeds that ``bench run --until-decided`` has added to a suite's own.

Claims alone are judged by them. Tables and figures keep to the suite's own seeds: which cells got
more depends on what they showed, and a mean over them would be a little too extreme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from bench.report.frame import cell_frame, frame_csv
from bench.report.results import Entry, Results, place_key, seed_of
from bench.spec.cell import PlannedCell
from bench.spec.plan import Plan
from bench.spec.recipe import Scalar
from bench.stats.sequential.looks import Looks


@dataclass(frozen=True)
class Further:
    """The suite with seeds up to the last look, and the looks by which claims are judged.

    Attributes
    ----------
    results
        Of the suite with at least as many seeds everywhere as the last look has.
    every
        Whether claims without promise are followed too.
    """

    results: Results
    looks: Looks
    every: bool = False

    def lengthened(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return a suite's entries with their further seeds, up to the first that lacks a value.

        Looks are at the first so many seeds: a seed behind a gap would be one of those that
        happened to end well.
        """
        return [self._lengthened(entry) for entry in entries]

    def _lengthened(self, entry: Entry) -> Entry:
        cells = self.results.places[place_key(entry.where)]
        every = self.results.entry(cells, entry.shown)
        known = every.values.keys() | every.undefined.keys()
        seeds = list(takewhile(known.__contains__, map(seed_of, cells)))
        values = {seed: every.values[seed] for seed in seeds if seed in every.values}
        undefined = {seed: every.undefined[seed] for seed in seeds if seed in every.undefined}
        more = max(len(seeds) - entry.expected, 0)
        states = {**entry.states, "done": entry.states.get("done", 0) + more}
        return replace(entry, values=values, states=states, undefined=undefined)

    def cells(self, place: Mapping[str, Scalar], seeds: int) -> list[PlannedCell]:
        """Return the cells of a place's first seeds that are not done."""
        first = self.results.places[place_key(place)][:seeds]
        return [planned for planned in first if self.results.state(planned.cell.id) != "done"]


def further_csv(further: Further, plan: Plan) -> str:
    """Return the further seeds' cells that are done as CSV; empty where there are none yet.

    Parameters
    ----------
    plan
        The suite with its own seeds alone.
    """
    own = {planned.cell.id for planned in plan.cells}
    results = further.results
    done = tuple(
        planned
        for planned in results.plan.shown
        if planned.cell.id not in own and planned.cell.id in results.records
    )
    return frame_csv(cell_frame(replace(results, plan=replace(plan, cells=done)))) if done else ""
