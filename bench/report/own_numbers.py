"""A page's own numbers: the table, its picture, and the paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report import markdown
from bench.report import provenance as origin
from bench.report.figures.table_figure import MAX_PANELS, figure_svg
from bench.report.numbers import plural
from bench.report.results import arrange
from bench.report.sections import Board, best
from bench.report.setting.facts import fixed_behind
from bench.report.tables import layout
from bench.report.tables.contrasts import Difference, contrast_grids, differences
from bench.spec.suite import Contrast

WHAT_IT_SAYS = "What the columns and marks are"


def table_figure(board: Board, stem: str) -> dict[str, str]:
    """Return the table's figure by file name; none where the suite has figures of its own."""
    suite = board.plan.suite
    # Lines from one metric to another would say nothing.
    tabular = not (suite.figures or suite.table.metrics)
    svg = figure_svg(board.blocks, board.axes, suite) if tabular else None
    return {f"{stem}.svg": svg} if svg else {}


def picture(board: Board, figures: Mapping[str, str]) -> str:
    """Return the figures with what they show."""
    if not figures:
        return ""
    title = markdown.escape(board.plan.suite.title)
    images = "\n".join(f"![{title}](<{name}>)" for name in figures)
    return f"{images}\n\n{picture_caption(board)}"


def picture_caption(board: Board) -> str:
    """Return what the table's figure shows."""
    caption = "Means over seeds; bands are 95% intervals (Student's t)."
    if board.plan.suite.table.contrast:
        caption += " The base of each pair is dashed."
    if len(board.blocks) > MAX_PANELS:
        caption += f" Only the first {MAX_PANELS} of {len(board.blocks)} groups are drawn."
    return caption


def results(board: Board, csv: str) -> str:
    """Return our table, what its numbers are, and which entries lack seeds."""
    suite = board.plan.suite
    table = layout.render(layout.results_grids(board.blocks, board.axes), suite)
    count, why = layout.incomplete_table(board.blocks, board.axes, suite)
    parts = ["## Results", results_caption(board), table]
    told = results_terms(board)
    if told:
        parts.append(markdown.details(WHAT_IT_SAYS, markdown.terms(told)))
    if why:
        title = f"{plural(count, 'entry lacks', 'entries lack')} seeds"
        parts.append(markdown.details(title, why))
    parts.append(f"Every cell's own numbers: {markdown.link(csv, csv)}.")
    return "\n\n".join(parts)


def results_caption(board: Board) -> str:
    """Return what the numbers of our table are; further paragraphs warn."""
    seeds = sorted({entry.expected for entry in board.entries})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else "n as in the brackets"
    text = f"{_what_is_shown(board)}the mean over seeds, {n}"
    if max(seeds, default=0) > 1:
        text += ", ± half the width of its 95% interval (Student's t)"
    text += f". Bold: the {best(board)} mean of a column among the complete entries of its group."
    if any(entry.partial and not entry.undefined for entry in board.entries):
        text += " (k/n): only k of the n seeds are done; never bold."
    fixed = fixed_behind(board.plan)
    if fixed:
        shared = markdown.escape(" and ".join(fixed))
        text += (
            f"\n\nAll seeds of a place share one network of {shared}: "
            "intervals and verdicts are for that network, and say nothing of how another would do."
        )
    if "best-on-test" in board.plan.suite.selection:
        text += (
            "\n\n**Chosen on the test split**: the state with the best test score is reported "
            "(`selection: best-on-test`), so these numbers are optimistic."
        )
    return text


def results_terms(board: Board) -> list[tuple[str, str]]:
    """Return what the columns of several metrics are, and what stands in place of a number."""
    suite, told = board.plan.suite, []
    if suite.table.metrics:
        for shown in suite.metrics:
            unit = f", in {markdown.escape(shown.unit)}" if shown.unit else ""
            name = markdown.escape(layout.measure_name(suite, shown.name))
            told.append((name, f"{markdown.code(shown.name)}{unit}; best is the {shown.best}"))
        if any(len(b.entries) < len(b.rows) * len(b.columns) for b in board.blocks):
            told.append(("blank", "Not measured there."))
    if any(entry.undefined for entry in board.entries):
        told.append((
            "undefined at k of n seeds",
            "There the curve never reaches the value, begins beyond it, has no points on both "
            "sides of it, or the other has no points beside it. A mean over the other seeds would "
            "be one over those that got there, and is not shown.",
        ))  # fmt: skip
    return told


def _what_is_shown(board: Board) -> str:
    suite = board.plan.suite
    if suite.table.metrics:
        return "A column a metric: "
    (shown,) = suite.metrics
    unit = f" in {markdown.escape(shown.unit)}" if shown.unit else ""
    return f"{markdown.code(shown.metric)}{unit} by {board.columns}: "


def contrast(board: Board) -> str:
    """Return the paired differences that the table is about."""
    suite = board.plan.suite
    if suite.table.contrast is None:
        return ""
    found = differences(board.entries, suite.table.contrast, suite)
    if not found:
        return ""
    table = layout.render(contrast_grids(arrange(found, *board.axes), board.axes), suite)
    told = contrast_texts(board, suite.table.contrast, found)
    return "\n\n".join(["## Paired differences", *told, table])


def contrast_texts(board: Board, contrast: Contrast, found: Sequence[Difference]) -> list[str]:
    """Return what the paired differences are, then what a reader must know of these."""
    same = any(each.estimate.no_spread for each in found)
    return [
        text
        for text in (
            contrast_caption(board, contrast),
            "No spread: the same difference at every seed, which does not make it known."
            if same else "",
            origin.unpaired(board.results.own_records(shown=True)),
        )
        if text
    ]  # fmt: skip


def contrast_caption(board: Board, contrast: Contrast) -> str:
    """Return what the paired differences are."""
    # Seeds choose images and their order by dataset and rate; only at equal ones are they shared.
    same_images = contrast.axis not in ("dataset", "sampling_rate")
    by = "" if board.plan.suite.table.metrics else f", by {board.columns}"
    return (
        f"Paired by seed, in {board.difference_unit}{by}"
        f"{': at a seed both train on the same images' if same_images else ''}. Mean ± half the "
        "width of its 95% interval (paired Student's t). Bold: the interval excludes zero, and no "
        "seed is missing. Each interval stands for itself: of twenty true zeros, one is expected "
        "to be excluded."
    )
