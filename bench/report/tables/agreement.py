"""Each reported number in one line: the paper's, ours, the difference, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from bench.report import markdown
from bench.report.numbers import NOTHING, mean_text, number, portion
from bench.report.tables.layout import axis_name, label, measure_label
from bench.report.tables.reported import Matched, by_measure, printed_decimals
from bench.spec.suite import Suite
from bench.stats.equivalence import Equivalence, equivalent

TOLERANCE = 1.0
"""Percentage points that do not matter: our choice. Other units have none."""


@dataclass(frozen=True)
class Agreement:
    """A reported number beside ours, tested; ``tested`` is None where there is no tolerance."""

    matched: Matched
    tested: Equivalence | None

    @property
    def status(self) -> str:
        """What the seeds say: ``agrees``, ``differs``, ``open``, or why nothing."""
        ours = self.matched.ours
        if ours.n == 0:
            return NOTHING
        if ours.partial:
            return f"partial ({portion(ours.n, ours.expected)})"
        if self.tested is None:
            return "no tolerance"
        if self.tested.equivalent:
            return "agrees"
        return "differs" if self.tested.different else "open"


def agreements(matched: Sequence[Matched]) -> list[Agreement]:
    """Test each of our entries against the reported number at the same place."""
    return [Agreement(each, _tested(each)) for each in matched]


def _tested(matched: Matched) -> Equivalence | None:
    if matched.shown.unit != "%" or not matched.ours.n:
        return None
    reported = matched.reported
    return equivalent(
        list(matched.ours.values.values()),
        reported.mean,
        TOLERANCE,
        reported_sd=_standard_deviation(reported.spread, reported.n, matched.spread_is),
        reported_n=reported.n,
    )


def _standard_deviation(spread: float | None, n: int | None, meaning: str | None) -> float | None:
    """Return the standard deviation that a printed spread stands for, where that is known."""
    if spread is None or n is None or n < 2 or meaning is None:
        return None
    if meaning == "standard deviation":
        return spread
    error = spread if meaning == "standard error" else spread / float(stdtrit(n - 1, 0.975))
    return error * math.sqrt(n)


def agreement_table(found: Sequence[Agreement], axes: Sequence[str], suite: Suite) -> str:
    """Return one line an entry, folded; empty where we have no number.

    Parameters
    ----------
    axes
        The axes that name an entry.
    """
    if not any(each.matched.ours.n for each in found):
        return ""
    matched = [each.matched for each in found]
    decimals = {metric: printed_decimals(own) for metric, own in by_measure(matched).items()}
    rows = [_row(each, axes, suite, decimals[each.matched.shown.name]) for each in found]
    header = [*map(axis_name, axes), "paper", "ours", "Δ [90% interval]", "verdict"]
    table = markdown.table([markdown.escape(h) for h in header], rows, left=len(axes))
    statuses = [each.status for each in found]
    counts = ", ".join(f"{statuses.count(v)} {v}" for v in dict.fromkeys(statuses) if v != NOTHING)
    return markdown.details(
        f"Entry by entry: {markdown.escape(counts)}", f"{_caption(found)}\n\n{table}"
    )


def _row(each: Agreement, axes: Sequence[str], suite: Suite, printed: int) -> list[str]:
    matched, reported = each.matched, each.matched.reported
    decimals = matched.shown.decimals
    paper = number(reported.mean, printed)
    if reported.spread is not None:
        paper += f" ± {number(reported.spread, printed)}"
    delta = NOTHING if matched.delta is None else number(matched.delta, decimals, signed=True)
    if each.tested is not None and math.isfinite(each.tested.low):
        ends = (number(end, decimals, signed=True) for end in (each.tested.low, each.tested.high))
        delta += f" \\[{', '.join(ends)}\\]"
    return [
        *(markdown.escape(_name(suite, axis, matched)) for axis in axes),
        paper,
        mean_text(matched.ours.estimate, decimals),
        delta,
        markdown.escape(each.status),
    ]


def _name(suite: Suite, axis: str, matched: Matched) -> str:
    if axis in matched.where:
        return label(suite, axis, matched.where[axis])
    return measure_label(suite, matched.shown.name)


def _caption(found: Sequence[Agreement]) -> str:
    told = [("ours", "± half the width of the 95% interval.")]
    tested = [each.tested for each in found if each.tested is not None]
    if not tested:
        told.append(("tolerance", "Only percent have one, so that nothing is said of agreement."))
        return markdown.terms(told)
    told += [
        ("agrees", f"The 90% interval of Δ lies within ± {TOLERANCE:g} point (two one-sided t "
         "tests at 5%; the tolerance is our choice)."),
        ("differs", "Δ is beyond it at 5%."),
        ("open", "The seeds cannot tell. Nothing is corrected over entries."),
    ]  # fmt: skip
    exact = sum(not each.uses_reported_spread for each in tested)
    which = "the" if exact == len(tested) else f"{exact} of the"
    told.append((
        "the paper's spread",
        "It is in the interval of Δ." if exact == 0 else
        f"What ± means, or of how many runs it is, is not certain for {which} reported means: "
        "those are taken as exact, which makes both verdicts easier to reach.",
    ))  # fmt: skip
    return markdown.terms(told)
