"""A suite on its paper's page: claims, figures, tables, notes, setting and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from bench.report import own_numbers, sections
from bench.report import provenance as origin
from bench.report.again import commands
from bench.report.answer import answer
from bench.report.claims import section as claim_section
from bench.report.claims import text as verdict_text
from bench.report.claims.form import asked_text, form_sentences
from bench.report.claims.verdict import Verdict, verdicts
from bench.report.figures.section import curve_numbers, draw_figures, figure_svgs
from bench.report.frame import cell_frame, frame_csv
from bench.report.index import PageFacts, page_facts
from bench.report.numbers import plural, portion
from bench.report.page import make_board
from bench.report.results import Entry, place_key
from bench.report.search import search_tables
from bench.report.sections import Board
from bench.report.setting.tables import setting_tables
from bench.report.site import tables
from bench.report.site.grid import Column, Field, Grid, Row, number_field, plain_grid
from bench.report.site.inline import inline, paragraphs
from bench.report.site.names import Names
from bench.report.site.track import Track
from bench.report.tables import reported
from bench.report.tables.contrasts import differences
from bench.report.tables.grid import estimate_spans
from bench.spec.paper import Note


@dataclass(frozen=True)
class Picture:
    """Figures under one title; ``files`` are paths inside the site."""

    title: str
    files: Sequence[str]
    caption: Sequence[Markup]


@dataclass(frozen=True)
class Part:
    """Tables with what they are."""

    caption: Sequence[Markup]
    grids: Sequence[Grid]
    notes: Sequence[str] = ()
    terms: Sequence[tuple[Markup, Markup]] = ()


@dataclass(frozen=True)
class SuitePart:
    """All of a suite that its paper's page shows, and the files that go with it."""

    track: Track
    board: Board
    facts: PageFacts
    profile: Markup
    stale: Markup
    answer: Picture | None
    verdicts: Sequence[Verdict]
    claims: Part | None
    forms: Sequence[tuple[str, Sequence[str]]]
    reading: Sequence[tuple[Markup, Markup]]
    comparisons: Part | None
    elsewhere: Sequence[str]
    pictures: Sequence[Picture]
    results: Part
    differences: Part | None
    reported: Sequence[Part]
    notes: Sequence[Note]
    setting: Sequence[Part]
    provenance: Grid | None
    effort: str
    remarks: Sequence[Markup]
    commands: str
    files: Mapping[str, str]

    @property
    def main(self) -> Picture | None:
        """The picture that the suite is known by; None where nothing is drawn."""
        return self.answer or next((p for p in self.pictures if p.files), None)


def suite_part(track: Track, names: Names) -> SuitePart:
    """Make a suite's part of its paper's page."""
    plan = track.plan
    board = make_board(track.results, track.reported)
    found = verdicts(track.results, track.further)
    shown, elsewhere = claim_section.by_profile(found, plan)
    first, pictures, files = _pictures(board, found, track, names)
    values = claim_section.claims_csv(found, plan)
    if values is not None:
        files[names.claims_csv(track)] = values
    own = board.results.own_records()
    origins = [(a, b, c, f"{n:,}") for a, b, c, n in origin.origins(own)]
    return SuitePart(
        track=track,
        board=board,
        facts=page_facts(names.stem(track), track.results, found),
        profile=inline(sections.profile_text(board)),
        stale=inline(sections.stale_text(board)),
        answer=first,
        verdicts=shown,
        claims=_claims(shown, board),
        forms=[(v.claim.id, form_sentences(v, plan)) for v in shown],
        reading=_terms(claim_section.reading(shown)),
        comparisons=_comparisons(shown),
        elsewhere=[verdict.claim.id for verdict in elsewhere],
        pictures=pictures,
        results=_results(board, track, names),
        differences=_differences(board),
        reported=_reported(board),
        notes=list(dict.fromkeys(plan.suite.notes)),
        setting=_setting(board),
        provenance=plain_grid(
            "Provenance", ["what", "of", "value", "records"], origins, left=3
        ) if origins else None,
        effort=f"{plural(len(own), 'record')}; their attempts took {origin.effort(own)} in all."
        if own else "",
        remarks=[inline(text) for text in sections.provenance_remarks(board)],
        commands="\n".join(commands(board)),
        files={names.csv(track): frame_csv(cell_frame(track.results)), **files},
    )  # fmt: skip


def _pictures(
    board: Board, found: Sequence[Verdict], track: Track, names: Names
) -> tuple[Picture | None, list[Picture], dict[str, str]]:
    """Return the answer's picture, the others, and the files of both with their numbers."""
    plan, stem = board.plan, names.stem(track)
    drawings = draw_figures(board.results, stem)
    opening = answer(board, found, stem)
    svgs = figure_svgs(drawings)
    first = None
    if opening is not None:
        svgs[opening.file] = opening.svg
        first = Picture(plan.suite.title, [names.figure(opening.file)], paragraphs(opening.caption))
    pictures = [
        Picture(d.figure.title, [names.figure(f) for f in d.svgs], paragraphs(d.caption))
        for d in drawings
    ]
    own = {} if f"{stem}.svg" in svgs else own_numbers.table_figure(board, stem)
    if own:
        svgs |= own
        text = paragraphs(own_numbers.picture_caption(board))
        pictures.append(Picture(plan.suite.title, [names.figure(f) for f in own], text))
    files = {names.figure(file): svg for file, svg in svgs.items()}
    numbers = curve_numbers(drawings, plan.suite)
    if numbers is not None:
        files[names.curves_csv(track)] = numbers
    return first, pictures, files


def _terms(explained: Sequence[tuple[str, str]]) -> list[tuple[Markup, Markup]]:
    return [(inline(term), inline(meaning)) for term, meaning in explained]


def _results(board: Board, track: Track, names: Names) -> Part:
    page = names.cells(track)

    def link(entry: Entry) -> str:
        return f"{page}#p{track.numbers[place_key(entry.where)]}"

    caption = paragraphs(own_numbers.results_caption(board))
    terms = _terms(own_numbers.results_terms(board))
    return Part(caption, tables.results(board, link), terms=terms)


def _differences(board: Board) -> Part | None:
    contrast = board.plan.suite.table.contrast
    found = differences(board.entries, contrast, board.plan.suite) if contrast is not None else []
    if contrast is None or not found:
        return None
    texts = own_numbers.contrast_texts(board, contrast, found)
    return Part([inline(text) for text in texts], tables.contrasts(board, found))


def _reported(board: Board) -> list[Part]:
    parts = []
    for text, found in sections.reported_groups(board):
        grids, notes = tables.reported(board, found)
        agreement = reported.agreement(found, board.plan.suite)
        parts.append(Part([inline(text), *paragraphs(agreement)], grids, notes))
    return parts


def _claims(shown: Sequence[Verdict], board: Board) -> Part | None:
    if not shown:
        return None
    numeric = ("estimate", "p", "hold")
    columns = [Column(title, title in numeric) for title in claim_section.CLAIM_COLUMNS]
    rows = []
    for verdict in shown:
        decided = verdict_text.deciding(verdict)
        mean = decided[1].mean if decided else None
        rows.append(
            Row(
                [
                    Field(claim_html(verdict)),
                    Field(verdict_text.outcome_text(verdict), kind=outcome_kind(verdict.outcome)),
                    Field(asked_text(verdict.claim)),
                    number_field(mean, verdict_text.estimate_text(verdict)),
                    number_field(verdict.p, verdict_text.p_text(verdict.p)),
                    Field(verdict_text.holding_text(verdict)),
                    Field(verdict_text.remark(verdict)),
                ],
                anchor=claim_anchor(verdict),
            )
        )
    grid = Grid(f"Claims: {board.plan.suite.title}", columns, rows, wrap=True)
    texts = [claim_section.caption(shown, board.plan), claim_section.sequential_note(shown)]
    return Part([inline(text) for text in texts if text], [grid])


def claim_html(verdict: Verdict) -> Markup:
    """Return a claim's sentence with its source and id."""
    claim = verdict.claim
    return Markup('{} <span class="note">({})</span> <code>{}</code>').format(
        claim.text, verdict_text.source_text(claim), claim.id
    )


def claim_anchor(verdict: Verdict) -> str:
    """Return a claim's place on its paper's page."""
    return f"claim-{quote(verdict.claim.id, safe='')}"


def outcome_kind(outcome: str) -> str:
    """Return the class that a verdict is coloured by."""
    return f"badge {outcome.replace(' ', '-')}"


def _comparisons(shown: Sequence[Verdict]) -> Part | None:
    header = claim_section.COMPARISON_COLUMNS
    columns = [Column(title, numeric=i >= 2) for i, title in enumerate(header)]
    rows = []
    for verdict in shown:
        if verdict.decision is None or verdict.shown is None:
            continue
        decimals, signed = verdict.shown.decimals, bool(verdict.claim.compare)
        tested = zip(verdict.compared, verdict.estimates, verdict.decision.tests, strict=True)
        for each, estimate, test in tested:
            mean = tables.spans_html(estimate_spans(estimate, decimals, signed=signed))
            ps = (test.p_support, test.sign_flip, test.adjusted_refute)
            fields = [Field(Markup("<code>{}</code>").format(verdict.claim.id)), Field(each.name)]
            fields += [number_field(estimate.mean, mean)]
            fields += [number_field(each.n, portion(each.n, each.expected))]
            fields += [number_field(p, verdict_text.p_text(p)) for p in ps]
            rows.append(Row(fields))
    if not rows:
        return None
    return Part([inline(claim_section.EACH)], [Grid("Comparisons", columns, rows)])


def _setting(board: Board) -> list[Part]:
    parts = []
    for each in [*search_tables(board.results), *setting_tables(board.plan)]:
        rows = [[inline(text) for text in row] for row in each.rows]
        grid = plain_grid(each.title, each.header, rows, left=len(each.header))
        parts.append(Part(paragraphs(each.caption), [grid]))
    return parts
