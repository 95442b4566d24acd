"""The paper's numbers in our table's shape, and how far ours are from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.report import markdown
from bench.report.numbers import number, plural, portion
from bench.report.results import Block, Entry
from bench.report.tables.grid import Field, Grid, Span, grids
from bench.report.tables.layout import best_of, measure_name, render
from bench.spec.cell import Scalar
from bench.spec.paper import ReportedEntry, ReportedTable
from bench.spec.suite import ShownMetric, Suite


@dataclass(frozen=True)
class Matched:
    """A reported number and our entry at the same axis values; ``spread_is`` as of its table."""

    where: Mapping[str, Scalar]
    reported: ReportedEntry
    ours: Entry
    spread_is: str | None = None

    @property
    def shown(self) -> ShownMetric:
        """The metric, and how it is shown."""
        return self.ours.shown

    @property
    def delta(self) -> float | None:
        """Our mean less the reported one; None where we have none."""
        return self.ours.estimate.mean - self.reported.mean if self.ours.n else None

    @property
    def inside(self) -> bool | None:
        """Whether the reported mean lies in our interval; None where ours is not complete."""
        estimate = self.ours.estimate
        if self.ours.partial or estimate.half_width is None:
            return None
        return estimate.low <= self.reported.mean <= estimate.high


def match_reported(entries: Sequence[Entry], table: ReportedTable, suite: Suite) -> list[Matched]:
    """Return our entries that a reported table has, in our order.

    A reported entry need not name axes with one value only. Nothing is comparable where metric
    or unit differ.
    """
    given = (table.metric, table.unit)
    shown = {m.name for m in suite.metrics if (m.name, m.unit) == given}
    # All entries of a table usually name the same axes; one index for each set of names.
    indices: dict[tuple[str, ...], dict[tuple[Scalar, ...], ReportedEntry]] = {}
    for reported in table.entries:
        axes = tuple(sorted(reported.where))
        indices.setdefault(axes, {})[tuple(reported.where[a] for a in axes)] = reported
    found = []
    for entry in (entry for entry in entries if entry.shown.name in shown):
        for axes, index in indices.items():
            match = index.get(tuple(entry.where.get(axis, "") for axis in axes))
            if match is not None:
                found.append(Matched(entry.where, match, entry, table.spread_is))
    return found


def reported_grids(
    blocks: Sequence[Block[Matched]], axes: tuple[Sequence[str], str]
) -> tuple[list[Grid[Matched]], list[str]]:
    """Return the reported numbers as printed, Δ = ours − reported, and the notes they refer to."""
    entries = [entry for block in blocks for entry in block.entries.values()]
    printed = {metric: printed_decimals(own) for metric, own in by_measure(entries).items()}
    notes = list(dict.fromkeys(e.reported.note for e in entries if e.reported.note))
    best = best_of(blocks, lambda entry: entry.reported.mean)

    def field(entry: Matched) -> Field[Matched]:
        given, decimals = entry.reported, printed[entry.shown.name]
        strong = id(entry) in best
        spans = [Span(number(given.mean, decimals), "strong" if strong else "plain")]
        if given.spread is not None:
            spans.append(Span(f" ± {number(given.spread, decimals)}"))
        if given.note:
            spans.append(Span(str(notes.index(given.note) + 1), "mark"))
        if entry.delta is not None:
            shown = f"Δ {number(entry.delta, entry.shown.decimals, signed=True)}"
            if entry.ours.partial:
                shown += f" ({portion(entry.ours.n, entry.ours.expected)})"
            spans.append(Span(shown, "delta"))
        return Field(entry, given.mean, tuple(spans))

    return grids(blocks, axes, field), notes


def comparison_table(
    blocks: Sequence[Block[Matched]], axes: tuple[Sequence[str], str], suite: Suite
) -> str:
    """Return the reported numbers in Markdown, with their numbered notes."""
    found, notes = reported_grids(blocks, axes)
    listed = [f"<sup>{i}</sup> {markdown.escape(note)}" for i, note in enumerate(notes, 1)]
    return "\n\n".join([render(found, suite), *(["<br>\n".join(listed)] if listed else [])])


def by_measure(entries: Iterable[Matched]) -> dict[str, list[Matched]]:
    """Return metric to its entries, in the order in which metrics first appear."""
    found: dict[str, list[Matched]] = {}
    for entry in entries:
        found.setdefault(entry.shown.name, []).append(entry)
    return found


def printed_decimals(entries: Sequence[Matched]) -> int:
    """Return how many decimals reported numbers are printed with."""
    # YAML's 86.00 loads as 86.0, but a table is printed with as many decimals throughout.
    numbers = [x for e in entries for x in (e.reported.mean, e.reported.spread) if x is not None]
    return max(len(f"{x:.6f}".rstrip("0").partition(".")[2]) for x in numbers)


def agreement(matched: Sequence[Matched], suite: Suite) -> str:
    """Return in how many entries ours is above, and the reported mean inside: by metric."""
    if all(c.delta is None for c in matched):
        return f"We have no number yet for any of the {plural(len(matched), 'entry', 'entries')}."
    texts = []
    for metric, own in by_measure(matched).items():
        of = f" {markdown.escape(measure_name(suite, metric))}" if suite.table.metrics else ""
        texts.append(_agreement(own, of))
    return "\n\n".join(texts)


def _agreement(matched: Sequence[Matched], of: str) -> str:
    deltas = [c.delta for c in matched if c.delta is not None]
    if not deltas:
        return f"We have no{of} yet."
    above = sum(delta > 0 for delta in deltas)
    inside = [c.inside for c in matched if c.inside is not None]
    text = f"Our mean{of} is above the reported one in {above} of {len(deltas)} entries"
    if inside:
        text += f"; the reported mean is in our interval in {sum(inside)} of {len(inside)} entries"
    return text + "."
