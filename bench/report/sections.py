"""The parts of a leaderboard page, in the order in which they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import markdown
from bench.report import provenance as origin
from bench.report.numbers import plural
from bench.report.results import Block, Entry, Results, arrange
from bench.report.setting.tables import setting_tables
from bench.report.tables import layout, reported
from bench.report.tables.agreement import agreement_table, agreements
from bench.report.verified import Verified, verified_line
from bench.spec.layers import SMOKE
from bench.spec.paper import Note, Reported, ReportedTable
from bench.spec.plan import Plan
from bench.spec.reported import tables_for
from bench.spec.tuning import Trial
from bench.spec.work import Choose

STATES = ("done", "missing", "running", "stale", "failed")


@dataclass(frozen=True)
class Board:
    """All that a page is made of."""

    results: Results
    reported: Reported | None
    entries: tuple[Entry, ...]
    blocks: tuple[Block[Entry], ...]
    axes: tuple[Sequence[str], str]
    verified: Verified | None = None
    further: Results | None = None

    @property
    def plan(self) -> Plan:
        """The suite under its profile."""
        return self.results.plan

    @property
    def columns(self) -> str:
        """Name of the columns' axis in words."""
        return markdown.escape(layout.axis_name(self.axes[1]))

    @property
    def difference_unit(self) -> str:
        """What differences are measured in."""
        if self.plan.suite.table.metrics:
            return "each column's unit (percentage points for %)"
        unit = self.plan.suite.metrics[0].unit
        return "percentage points" if unit == "%" else markdown.escape(unit) or "the metric's unit"

    def comparable(self) -> list[ReportedTable]:
        """Reported tables of this suite and profile."""
        return tables_for(self.plan, self.reported) if self.reported else []


def heading(board: Board) -> str:
    """Return title, citation and what the profile is."""
    paper, suite = board.plan.paper, board.plan.suite
    cited = [", ".join(map(markdown.escape, paper.authors)), f"*{markdown.escape(paper.title)}*"]
    cited += [markdown.escape(x) for x in (paper.venue or str(paper.year or ""),) if x]
    line = ". ".join(part for part in cited if part) + "."
    links = [markdown.link(t, u) for t, u in (("Paper", paper.url), ("code", paper.code)) if u]
    if links:
        line += f" {', '.join(links)}."
    return "\n\n".join(
        [
            f"# {markdown.escape(suite.title)}",
            f"{markdown.escape(suite.source)} of: {line}" if suite.source else line,
            f"**Profile {markdown.code(board.plan.profile)}.** {profile_text(board)}",
            *excerpt_text(board.plan),
        ]
    )


def excerpt_text(plan: Plan) -> list[str]:
    """Return that a page is of an excerpt; nothing where it is of all of the suite."""
    if plan.excerpt is None or plan.whole is None:
        return []
    words = ", ".join(map(markdown.code, plan.excerpt.words))
    return [
        f"**An excerpt: this page is not the suite's.** It has only the cells of {words}: "
        f"{len(plan.shown):,} of the table's {len(plan.whole.shown):,}. Claims that compare others "
        "too are not judged here."
    ]


def profile_text(board: Board) -> str:
    """Return what the profile is to the paper's own setting."""
    if board.plan.profile == SMOKE:
        return (
            "**These numbers mean nothing**: a few steps of everything, to see that all works. "
            "Neither do the verdicts and pictures made of them."
        )
    sources = dict.fromkeys(markdown.escape(table.source) for table in board.comparable())
    if sources:
        return (
            f"The setting of {'; '.join(sources)}, as far as it is known "
            "(see the notes); its numbers stand beside ours below."
        )
    if board.plan.profile == "paper":
        return "The paper's own setting, as far as it is known (see the notes)."
    if board.reported is None and board.plan.paper.url is None:
        return "No published numbers belong to it."
    return (
        "**Not the paper's setting**: a track of its own. Its numbers must not be read as, or "
        "compared with, the paper's."
    )


def summary(board: Board) -> str:
    """Return how many cells are in which state, and why some are stale."""
    shown = {p.cell.id for p in board.plan.shown}
    behind = {p.cell.id: p.cell.work for p in board.plan.behind if p.cell.id not in shown}
    searched = {i for i, work in behind.items() if isinstance(work, Trial | Choose)}
    rows = [_state_row(board, name, ids) for name, ids in (
        ("in the tables", shown), ("that others start from", set(behind) - searched),
        ("by which settings are chosen", searched),
    ) if ids]  # fmt: skip
    table = markdown.table(["cells", "planned", *STATES], rows)
    return "\n\n".join(part for part in (table, stale_text(board)) if part)


def stale_text(board: Board) -> str:
    """Return why cells are stale, and which are shown as if they were not; empty where none is."""
    further = board.further.states if board.further is not None else {}
    shown = origin.as_recorded({**further, **board.results.states})
    return " ".join(part for part in (_stale(board), shown) if part)


def _stale(board: Board) -> str:
    reasons = Counter(
        reason
        for cell_id in {p.cell.id for p in board.plan.cells}
        if board.results.state(cell_id) == "stale"
        for reason in board.results.states[cell_id].reasons
    )
    if not reasons:
        return ""
    listed = [f"{markdown.code(r)} ({plural(n, 'cell')})" for r, n in sorted(reasons.items())]
    return f"Stale, and left out, because of: {', '.join(listed)}."


def _state_row(board: Board, name: str, ids: set[str]) -> list[str]:
    states = Counter(board.results.state(i) for i in ids)
    return [name, f"{len(ids):,}", *(f"{states[s]:,}" if states[s] else "" for s in STATES)]


def best(board: Board) -> str:
    """Return which mean of a column is best: of metrics that differ in it, that word alone."""
    sides = {shown.best for shown in board.plan.suite.metrics}
    return next(iter(sides)) if len(sides) == 1 else "best"


def comparison(board: Board) -> str:
    """Return the reported numbers in the same shape, with how far ours are from them."""
    suite, parts = board.plan.suite, []
    for caption, found in reported_groups(board):
        rendered = reported.comparison_table(arrange(found, *board.axes), board.axes, suite)
        parts += ["## Reported numbers", caption, reported.agreement(found, suite), rendered]
        axes = list(dict.fromkeys([*board.axes[0], board.axes[1]]))
        parts.append(agreement_table(agreements(found), axes, suite))
    return "\n\n".join(part for part in parts if part)


def reported_groups(board: Board) -> list[tuple[str, list[reported.Matched]]]:
    """Return each source of reported numbers: what they are, and those beside which ours stand."""
    suite, groups = board.plan.suite, []
    place = {id(entry): index for index, entry in enumerate(board.entries)}
    # One table of the paper with several metrics is reported as several.
    by_source: dict[str, list[ReportedTable]] = {}
    for table in board.comparable():
        by_source.setdefault(table.source, []).append(table)
    for source, given in by_source.items():
        matches = [(table, reported.match_reported(board.entries, table, suite)) for table in given]
        found = sorted((c for _, own in matches for c in own), key=lambda c: place[id(c.ours)])
        if not found:
            continue
        spreads = dict.fromkeys(markdown.escape(table.spread) for table, own in matches if own)
        caption = (
            f"Source: {markdown.escape(source)}. ± as printed; what it means: "
            f"{'; '.join(spreads)}. Δ: our mean less the reported one, in "
            f"{board.difference_unit}. Bold: the {best(board)} reported mean of a column."
        )
        groups.append((caption, found))
    return groups


def notes(board: Board) -> str:
    """Return what a reader must know: the suite's notes, then the paper's."""
    listed = [_note(note) for note in (*board.plan.suite.notes, *board.plan.paper.notes)]
    return "## Notes\n\n" + "\n".join(dict.fromkeys(listed)) if listed else ""


def _note(note: Note) -> str:
    source = f" ({markdown.escape(note.source)})" if note.source else ""
    return f"- {markdown.escape(note.text)}{source}"


def setting(board: Board) -> str:
    """Return methods, recipe, and what lies behind the table, folded."""
    parts = ["## Setting"]
    for each in setting_tables(board.plan):
        table = markdown.table(each.header, each.rows, left=len(each.header))
        body = "\n\n".join(part for part in (each.caption, table) if part)
        parts.append(markdown.details(markdown.escape(each.title), body))
    return "\n\n".join(parts)


def provenance(board: Board) -> str:
    """Return what the records were made of, folded."""
    records = board.results.own_records()
    table = origin.provenance_table(records)
    if not table:
        return ""
    spent = (
        f"{plural(len(records), 'record')}; their attempts took {origin.effort(records)} in all."
    )
    folded = markdown.details("Code, data, weights, libraries and machines", table)
    verified = verified_line(board.verified, records) if board.verified is not None else ""
    hours = origin.device_hours(records)
    parts = ("## Provenance", spent, hours, verified, *provenance_remarks(board), folded)
    return "\n\n".join(part for part in parts if part)


def provenance_remarks(board: Board) -> list[str]:
    """Return what a reader must know of where the records come from; nothing where all is plain."""
    further = board.further.states if board.further is not None else {}
    remarks = (
        origin.carried({**further, **board.results.states}),
        origin.disagreement(board.results.disagreeing),
        origin.mixed(board.results.own_records()),
    )
    return [remark for remark in remarks if remark]
