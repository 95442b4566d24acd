"""What a paper's own printed means say of its claims, without any test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.report.claims.compared import comparison_names
from bench.spec.claims import Claim
from bench.spec.comparisons import comparisons
from bench.spec.metrics import difference_of
from bench.spec.paper import Reported, ReportedEntry

Told = Literal["holds", "does not hold", "cannot be told"]
# Printed numbers have a few decimals; their differences have binary rounding on top.
_DIGITS = 9


@dataclass(frozen=True)
class ReportedVerdict:
    """Whether a claim holds in reported means.

    Attributes
    ----------
    differences
        Comparison's name to its difference (or its value less the claim's number).
    holds
        Comparison's name to whether it holds there.
    """

    claim: Claim
    told: Told
    differences: Mapping[str, float] = field(default_factory=dict)
    holds: Mapping[str, bool] = field(default_factory=dict)


def evaluate_reported(
    claim: Claim, reported: Reported, *, profile: str = "paper", metric: str = "test/top1"
) -> ReportedVerdict:
    """Return what the means that a paper reports for one profile say of a claim.

    It cannot be told where no table has the claim's suite and metric, where a curve is asked for,
    or where the claim is not asked in that profile.

    Parameters
    ----------
    metric
        Of claims that name none: their suite's.
    """
    entries = _entries(claim, reported, profile, metric)
    asked_there = not claim.profiles or profile in claim.profiles
    if claim.expect is None or claim.at is not None or not entries or not asked_there:
        return ReportedVerdict(claim, "cannot be told")
    asked = comparisons(claim, [entry.where for entry in entries])
    needed = claim.quorum(len(asked)) or len(asked)
    if not asked or len(asked) < needed:
        return ReportedVerdict(claim, "cannot be told")
    number = claim.number or 0.0
    values = [
        round(sum(weight * entries[i].mean for weight, i in c.terms) - number, _DIGITS)
        for c in asked
    ]
    names = comparison_names(asked, lambda _, value: str(value))
    holds = [_holds(value, claim) for value in values]
    return ReportedVerdict(
        claim,
        "holds" if sum(holds) >= needed else "does not hold",
        dict(zip(names, values, strict=True)),
        dict(zip(names, holds, strict=True)),
    )


def _entries(claim: Claim, reported: Reported, profile: str, metric: str) -> list[ReportedEntry]:
    name = claim.metric or metric
    tables = [t for t in reported.tables if (t.suite, t.profile) == (claim.suite, profile)]
    first, *second = (
        [entry for table in tables if table.metric == each for entry in table.entries]
        for each in difference_of(name) or (name,)
    )
    if not second:
        return first
    others = {tuple(sorted(entry.where.items())): entry.mean for entry in second[0]}
    return [
        ReportedEntry(where=entry.where, mean=entry.mean - others[key])
        for entry in first
        if (key := tuple(sorted(entry.where.items()))) in others
    ]


def _holds(value: float, claim: Claim) -> bool:
    if claim.expect == "equal":
        return abs(value) <= claim.by
    return (-value if claim.expect == "less" else value) > claim.by
