"""The site's index: a row a suite and profile."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.claims.verdict import OUTCOMES
from bench.report.index import EXPECTED, expected_number
from bench.report.numbers import NOTHING, portion
from bench.report.site.grid import Column, Field, Grid, Row, number_field
from bench.report.site.names import Names
from bench.report.site.suite_part import SuitePart


def index_grid(parts: Sequence[SuitePart], names: Names) -> Grid:
    """Return one row for each suite under a profile, in the order given."""
    columns = [Column("suite"), Column("paper"), Column("profile"), Column("cells", True)]
    columns += [Column(outcome, True) for outcome in OUTCOMES]
    columns += [Column(EXPECTED, True), Column("last record"), Column("hardware")]
    return Grid("Suites", columns, [_row(part, names) for part in parts], wrap=True)


def _row(part: SuitePart, names: Names) -> Row:
    facts = part.facts
    counts = [facts.claims.get(outcome) for outcome in OUTCOMES]
    return Row(
        [
            Field(facts.title, link=names.anchor(part.track)),
            Field(facts.paper, link=names.paper(part.track)),
            Field(facts.profile),
            number_field(
                facts.done / facts.planned if facts.planned else None,
                portion(facts.done, facts.planned),
                names.cells(part.track),
            ),
            *(
                number_field(None, NOTHING) if count is None
                else Field(str(count), sort=str(count), kind=outcome if count else "zero")
                for outcome, count in zip(OUTCOMES, counts, strict=True)
            ),
            number_field(facts.expected_false, expected_number(facts)),
            Field(facts.last or NOTHING, sort=facts.last or ""),
            Field("; ".join(facts.hardware) or NOTHING),
        ]
    )  # fmt: skip
