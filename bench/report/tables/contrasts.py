"""Paired differences: what one value of an axis gains over another at the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.results import Block, Entry
from bench.report.tables.grid import Field, Grid, estimate_spans, grids, portion_span
from bench.report.tables.layout import label
from bench.spec.cell import Scalar
from bench.spec.suite import Contrast, Suite
from bench.stats.intervals import Estimate, paired_difference


@dataclass(frozen=True)
class Difference:
    """Treated less base over the seeds that both have.

    ``where`` has the pair's name on the contrast's axis.
    """

    where: Mapping[str, Scalar]
    treated: Entry
    base: Entry

    @property
    def expected(self) -> int:
        """How many seeds both could have."""
        return min(self.treated.expected, self.base.expected)

    @cached_property
    def estimate(self) -> Estimate:
        """Mean difference over the shared seeds, with its 95% interval."""
        ours, theirs = self.treated.values, self.base.values
        seeds = [seed for seed in ours if seed in theirs]
        return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds])


def differences(entries: Sequence[Entry], contrast: Contrast, suite: Suite) -> list[Difference]:
    """Return the difference of each pair at each place that has both, pair by pair."""
    axis = contrast.axis
    at = {_place(entry.where): entry for entry in entries}
    found = []
    for entry in entries:
        for treated, base in contrast.pairs:
            if entry.where.get(axis) != treated:
                continue
            other = at.get(_place({**entry.where, axis: base}))
            if other is not None:
                name = f"{label(suite, axis, treated)} − {label(suite, axis, base)}"
                found.append(Difference({**entry.where, axis: name}, entry, other))
    return found


def contrast_grids(
    blocks: Sequence[Block[Difference]], axes: tuple[Sequence[str], str]
) -> list[Grid[Difference]]:
    """Return differences as ``+mean ± half-width``; strong where the interval excludes zero."""

    def field(difference: Difference) -> Field[Difference]:
        estimate, expected = difference.estimate, difference.expected
        strong = estimate.excludes_zero and estimate.n == expected
        decimals = difference.treated.shown.decimals
        spans = estimate_spans(estimate, decimals, strong=strong, signed=True)
        if estimate.n < expected:
            spans += (portion_span(estimate.n, expected),)
        return Field(difference, estimate.mean, spans)

    return grids(blocks, axes, field)


def _place(where: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(where.items()))
