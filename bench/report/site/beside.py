"""The paper's numbers on a cell's page: beside the cell's own, and the mean that it is part of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report.numbers import NOTHING, mean_text, number, portion
from bench.report.results import PlaceKey, place_key
from bench.report.sections import Board
from bench.report.site.cell_page import CellOnSite
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.site.names import Names
from bench.report.tables.layout import measure_label
from bench.report.tables.reported import Matched, match_reported, printed_decimals
from bench.spec.cell import SEED

_COLUMNS = (
    Column("metric"), Column("this seed", True), Column("ours, mean of the seeds", True),
    Column("paper", True), Column("Δ", True), Column("source"),
)  # fmt: skip


@dataclass(frozen=True)
class _Printed:
    matched: Matched
    source: str
    decimals: int


class PaperNumbers:
    """The paper's numbers of a site's suites, by suite and place; none in other settings."""

    def __init__(self, boards: Mapping[str, Board], names: Names) -> None:
        self._names = names
        self._boards = boards
        self._at = {stem: _by_place(board) for stem, board in boards.items()}

    def grid(self, on_site: CellOnSite) -> Grid | None:
        """Return each number that the paper has for a cell's places; None where it has none."""
        rows = []
        for track, labels in on_site.places:
            stem = self._names.stem(track)
            seed = labels.get(SEED, on_site.cell.seed)
            for each in self._at[stem].get(place_key(labels), ()) if labels else ():
                rows.append(self._row(each, seed, self._boards[stem]))
        return Grid("Beside the paper", _COLUMNS, rows, wrap=True) if rows else None

    def _row(self, each: _Printed, seed: object, board: Board) -> Row:
        matched, suite = each.matched, board.plan.suite
        ours, decimals = matched.ours, matched.shown.decimals
        value = next((v for s, v in ours.values.items() if s == seed), None)
        mean = f"{mean_text(ours.estimate, decimals)} ({portion(ours.n, ours.expected)})"
        paper = number(matched.reported.mean, each.decimals)
        if matched.reported.spread is not None:
            paper += f" ± {number(matched.reported.spread, each.decimals)}"
        delta = matched.delta
        return Row(
            [
                Field(measure_label(suite, matched.shown.name)),
                number_field(value, NOTHING if value is None else number(value, decimals)),
                number_field(ours.estimate.mean if ours.n else None, mean),
                number_field(matched.reported.mean, paper),
                number_field(
                    delta, NOTHING if delta is None else number(delta, decimals, signed=True)
                ),
                Field(each.source),
            ]
        )


def _by_place(board: Board) -> Mapping[PlaceKey, Sequence[_Printed]]:
    found: dict[PlaceKey, list[_Printed]] = {}
    for table in board.comparable():
        matches = match_reported(board.entries, table, board.plan.suite)
        decimals = printed_decimals(matches) if matches else 0
        for matched in matches:
            printed = _Printed(matched, table.source, decimals)
            found.setdefault(place_key(matched.where), []).append(printed)
    return found
