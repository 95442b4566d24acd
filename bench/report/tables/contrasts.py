"""Paired differences: what one value of an axis gains over another at the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.report.numbers import mean_text, portion
from bench.report.results import Block, Entry
from bench.report.tables.layout import label, render
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


def contrast_table(
    blocks: Sequence[Block[Difference]], axes: tuple[Sequence[str], str], suite: Suite
) -> str:
    """Return differences as ``+mean ± half-width``; bold where the interval excludes zero."""

    def text(_: Block[Difference], difference: Difference) -> str:
        estimate = difference.estimate
        bold = estimate.excludes_zero and estimate.n == difference.expected
        shown = mean_text(estimate, difference.treated.shown.decimals, bold=bold, signed=True)
        if estimate.n < difference.expected:
            shown += f" ({portion(estimate.n, difference.expected)})"
        return shown

    return render(blocks, axes, suite, text)


def _place(where: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(where.items()))
