"""The one figure that a page begins with: what its records answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.report import markdown
from bench.report.claims.section import by_profile
from bench.report.claims.text import outcome_text
from bench.report.claims.verdict import Verdict
from bench.report.figures.forest import MAX_PANELS, Group, Line, Panel, forest_svg
from bench.report.figures.style import COLOURS
from bench.report.numbers import plural
from bench.report.own_numbers import picture_caption, table_figure
from bench.report.results import PlaceKey, place_key
from bench.report.sections import Board
from bench.report.tables.contrasts import Difference, differences
from bench.report.tables.layout import axis_name, label, measure_label, measure_name
from bench.report.tables.reported import match_reported
from bench.spec.cell import Scalar
from bench.spec.claims import Claim
from bench.spec.suite import METRIC, ShownMetric
from bench.stats.intervals import Estimate

TITLE = "At a glance"
_COLOURS = {"supported": "#136c2e", "refuted": "#b3261e"}
_UNDECIDED = "#57606a"


@dataclass(frozen=True)
class Answer:
    """A picture by its file name, and in a few words what it shows."""

    file: str
    svg: str
    caption: str


def answer(board: Board, found: Sequence[Verdict], stem: str) -> Answer | None:
    """Return a page's first figure; None where the suite's own figures are the answer.

    The differences that a table is about; the claims, where it is about several metrics; else the
    table itself.

    Parameters
    ----------
    found
        The verdicts on the claims about the suite.
    stem
        Name of the page's files without ending.
    """
    drawn = _differences(board) if not board.plan.suite.table.metrics else None
    shown, _ = by_profile(found, board.plan)
    drawn = drawn or _claims(board, shown) or _differences(board)
    if drawn is None and not board.plan.suite.figures:
        for file, svg in table_figure(board, stem).items():
            return Answer(file, svg, picture_caption(board))
        drawn = _levels(board)
    if drawn is None:
        return None
    panels, caption = drawn
    if len(panels) > MAX_PANELS:
        caption += f" Only the first {MAX_PANELS} of {len(panels)} groups are drawn."
    if any(line.paper is not None for panel in panels for line in panel.lines):
        caption += " Diamond: by the paper's own numbers."
    if any(panel.cut for panel in panels[:MAX_PANELS]):
        caption += " Arrowhead: the interval goes on."
    return Answer(f"{stem}.answer.svg", forest_svg(panels), caption)


def answer_section(board: Board, found: Answer) -> str:
    """Return the section that a page begins with."""
    title = markdown.escape(board.plan.suite.title)
    return f"## {TITLE}\n\n![{title}](<{found.file}>)\n\n{found.caption}"


Panels = tuple[list[Panel], str]


def _differences(board: Board) -> Panels | None:
    """Return the paired differences of the table: a panel a block, or a metric."""
    suite, contrast = board.plan.suite, board.plan.suite.table.contrast
    if contrast is None:
        return None
    found = [d for d in differences(board.entries, contrast, suite) if _drawable(d.estimate)]
    if not found:
        return None
    told = _reported(board)
    pairs = list(dict.fromkeys(d.where[contrast.axis] for d in found))
    colours = {pair: COLOURS[i % len(COLOURS)] for i, pair in enumerate(pairs)}
    names = [axis for axis in (*board.axes[0], board.axes[1]) if axis != contrast.axis]
    outer = [METRIC] if METRIC in names else names[:-1]
    inner = [axis for axis in names if axis not in outer]
    panels = []
    for key, own in _grouped(found, outer).items():
        groups = tuple(
            Group(
                str(pair),
                tuple(_difference_line(board, d, inner, told) for d in lines),
                colours[pair],
            )
            for (pair,), lines in _grouped(own, [contrast.axis]).items()
        )
        shown = own[0].treated.shown
        title = ", ".join(label(suite, a, v) for a, v in zip(outer, key, strict=True))
        axis = _difference_axis(measure_name(suite, shown.name), shown)
        panels.append(Panel("" if outer == [METRIC] else title, axis, groups))
    n = _numbers(d.estimate.n for d in found)
    return panels, (
        f"The first of each pair less the second, at the same seeds: mean (dot) and 95% interval "
        f"(bar) over {n} seeds. Filled: the interval excludes zero. Below a panel: the side on "
        "which the first is better."
    )


def _difference_line(
    board: Board, difference: Difference, axes: Sequence[str], told: Mapping[_Told, float]
) -> Line:
    suite, estimate = board.plan.suite, difference.estimate
    shown = [label(suite, axis, difference.where[axis]) for axis in axes]
    sides = [told.get(_told(e.shown, e.where)) for e in (difference.treated, difference.base)]
    treated, base = sides
    paper = None if treated is None or base is None else treated - base
    strong = estimate.excludes_zero and estimate.n == difference.expected
    return Line(estimate, ", ".join(shown) or " ", strong, paper)


def _claims(board: Board, found: Sequence[Verdict]) -> Panels | None:
    """Return a row a claim that was tested: a panel a unit, and of numbers without one a metric."""
    tested = [
        v
        for v in found
        if v.decision is not None and v.shown is not None and all(map(_drawable, v.estimates))
    ]
    if not tested:
        return None
    told = _reported(board)
    by_axis: dict[str, list[Group]] = {}
    for verdict in tested:
        by_axis.setdefault(_claim_axis(verdict), []).append(_claim_group(verdict, told))
    # Values themselves are not held against zero.
    compared = {_claim_axis(v): bool(v.claim.compare) for v in tested}
    panels = [Panel("", axis, tuple(own), compared[axis]) for axis, own in by_axis.items()]
    n = _numbers(each.n for verdict in tested for each in verdict.compared)
    caption = (
        f"A row a claim; each bar one of its comparisons: mean (dot) and 95% interval over {n} "
        "seeds. Thick: the one that decides. Shaded: where the claim says that they lie."
    )
    if rest := len(found) - len(tested):
        caption += f" Not drawn: {plural(rest, 'claim')} without a test here."
    return panels, caption


def _claim_group(verdict: Verdict, told: Mapping[_Told, float]) -> Group:
    assert verdict.decision is not None
    assert verdict.shown is not None
    shown, deciding = verdict.shown, verdict.decision.deciding
    lines = []
    for i, (compared, estimate) in enumerate(zip(verdict.compared, verdict.estimates, strict=True)):
        values = [(w, told.get(_told(shown, where))) for w, where in compared.terms]
        known = [weight * value for weight, value in values if value is not None]
        paper = math.fsum(known) if known and len(known) == len(values) else None
        lines.append(Line(estimate, "", i == deciding, paper))
    colour = _COLOURS.get(verdict.outcome, _UNDECIDED)
    return Group(
        verdict.claim.id, tuple(lines), colour, outcome_text(verdict), asked_range(verdict.claim)
    )


def asked_range(claim: Claim) -> tuple[float, float]:
    """Return from where to where a claim says that its comparisons lie.

    >>> asked_range(Claim(id="a", text="A.", source="s", suite="t", refuted_by="r",
    ...                   expect="less", number=1.5))
    (-inf, 1.5)
    """
    number = claim.number or 0.0
    if claim.expect == "equal":
        return number - claim.by, number + claim.by
    if claim.expect == "greater":
        return number + claim.by, math.inf
    return -math.inf, number - claim.by


def _claim_axis(verdict: Verdict) -> str:
    claim, shown = verdict.claim, verdict.shown
    assert shown is not None
    if not claim.compare:
        return f"{shown.metric}{f' ({shown.unit})' if shown.unit else ''}"
    if shown.unit == "%":
        return "difference (percentage points)"
    return f"difference in {shown.metric}{f' ({shown.unit})' if shown.unit else ''}"


def _levels(board: Board) -> Panels | None:
    """Return the table's numbers themselves, a panel a metric."""
    suite = board.plan.suite
    axes = [axis for axis in (*board.axes[0], board.axes[1]) if axis != METRIC]
    panels = []
    for shown in suite.metrics:
        own = [e for e in board.entries if e.shown.name == shown.name and _drawable(e.estimate)]
        if not own:
            continue
        lines = tuple(
            Line(e.estimate, ", ".join(label(suite, a, e.where[a]) for a in axes) or " ", True)
            for e in own
        )
        panel = Panel("", measure_label(suite, shown.name), (Group("", lines, COLOURS[0]),), False)
        panels.append(panel)
    if not panels:
        return None
    n = _numbers(e.n for e in board.entries if e.n)
    named = ", ".join(map(axis_name, axes))
    return panels, f"Mean (dot) and 95% interval (bar) over {n} seeds, by {named}."


def _difference_axis(name: str, shown: ShownMetric) -> str:
    unit = {"%": "points", "": "difference"}.get(shown.unit, shown.unit)
    told = f"{unit}, better →" if shown.best == "highest" else f"← better, {unit}"
    return f"Δ {name}\n{told}"


_Told = tuple[str, PlaceKey]


def _told(shown: ShownMetric, where: Mapping[str, Scalar]) -> _Told:
    return shown.name, place_key(where)


def _reported(board: Board) -> dict[_Told, float]:
    """Return the paper's means at our places; none in a profile that is not the paper's."""
    suite = board.plan.suite
    return {
        _told(each.shown, each.where): each.reported.mean
        for table in board.comparable()
        for each in match_reported(board.entries, table, suite)
    }


def _grouped(
    found: Iterable[Difference], axes: Sequence[str]
) -> dict[tuple[Scalar, ...], list[Difference]]:
    groups: dict[tuple[Scalar, ...], list[Difference]] = {}
    for each in found:
        groups.setdefault(tuple(each.where[axis] for axis in axes), []).append(each)
    return groups


def _drawable(estimate: Estimate) -> bool:
    # What has no value, or one that is not finite, has no place on an axis.
    return math.isfinite(estimate.mean)


def _numbers(counts: Iterable[int]) -> str:
    known = sorted(set(counts))
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"
