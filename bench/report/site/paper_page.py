"""What a paper's page says of the paper itself: notes, and claims that no records are about."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.claims.verdict import without_records
from bench.report.site.grid import Column, Field, Grid, Row
from bench.report.site.suite_part import SuitePart, claim_html, outcome_kind
from bench.spec.paper import Note, Paper


def paper_notes(paper: Paper) -> list[Note]:
    """Return the paper's notes, each once."""
    return list(dict.fromkeys(paper.notes))


def shared_notes(parts: Sequence[SuitePart]) -> list[Note]:
    """Return the notes that every suite of a page has, if it has several: said once is enough."""
    if len(parts) < 2:
        return []
    return [note for note in parts[0].notes if all(note in part.notes for part in parts)]


def paper_claims(paper: Paper) -> Grid | None:
    """Return the claims that a test proves, and those that no suite rebuilds."""
    found = [without_records(claim) for claim in paper.claims if claim.kind != "tested"]
    if not found:
        return None
    rows = [
        Row(
            [
                Field(claim_html(verdict)),
                Field(verdict.outcome, kind=outcome_kind(verdict.outcome)),
                Field(verdict.reason),
            ]
        )
        for verdict in found
    ]
    columns = [Column("claim"), Column("state"), Column("by, or why not")]
    return Grid("Claims without records", columns, rows, wrap=True)
