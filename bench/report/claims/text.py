"""How verdicts are written in tables."""

from __future__ import annotations

import math

from bench.report.claims.compared import Compared
from bench.report.claims.form import asked_text, reading_name, unit_text
from bench.report.claims.verdict import Verdict
from bench.report.numbers import NOTHING, mean_text, plural
from bench.spec.claims import Claim
from bench.stats.intervals import Estimate
from bench.stats.sequential.settling import Settled
from bench.stats.verdict import LIMIT, Outlook

_SMALLEST_P = 1e-4


def p_text(p: float | None) -> str:
    """Return a p-value with two significant digits.

    >>> p_text(0.0312), p_text(3e-9), p_text(None)
    ('0.031', '< 0.0001', '–')
    """
    if p is None or math.isnan(p):
        return NOTHING
    return f"< {_SMALLEST_P:.4f}" if p < _SMALLEST_P else f"{p:.2g}"


def outcome_text(verdict: Verdict) -> str:
    """Return the verdict, marked where seeds are missing."""
    partial = verdict.partial and verdict.decision is not None
    return f"{verdict.outcome} (partial)" if partial else verdict.outcome


def deciding(verdict: Verdict) -> tuple[Compared, Estimate] | None:
    """Return the comparison that decides, with its estimate: the one whose p is the verdict's."""
    decision = verdict.decision
    if decision is None:
        return None
    return verdict.compared[decision.deciding], verdict.estimates[decision.deciding]


def source_text(claim: Claim) -> str:
    """Return where the paper has a claim; marked where the sentence is not the paper's."""
    return f"{claim.source}; derived" if claim.derived_from else claim.source


def estimate_text(verdict: Verdict) -> str:
    """Return the deciding comparison's mean and half-width, with its unit: a % is a point here."""
    found = deciding(verdict)
    if found is None or verdict.shown is None:
        return NOTHING
    return f"{compared_text(verdict, found[1])}{unit_text(verdict.shown.unit)}"


def compared_text(verdict: Verdict, estimate: Estimate) -> str:
    """Return the mean and half-width of a comparison; differences have their sign."""
    decimals = verdict.shown.decimals if verdict.shown else 2
    return mean_text(estimate, decimals, signed=bool(verdict.claim.compare))


def holding_text(verdict: Verdict) -> str:
    """Return how many comparisons hold by themselves, of how many."""
    if verdict.decision is None:
        return NOTHING
    return f"{verdict.holding}/{len(verdict.compared)}"


def remark(verdict: Verdict) -> str:
    """Return why there is no verdict, what would decide, and on what the verdict depends."""
    found = deciding(verdict)
    if verdict.decision is None or found is None:
        return "; ".join(part for part in (verdict.reason, readings_text(verdict)) if part)
    parts = []
    if verdict.settled is not None:
        parts = [settled_text(verdict.settled, verdict.outcome == "undecided")]
    elif verdict.outcome == "undecided":
        parts = [_outlook_text(verdict, verdict.outlook)]
    if len(verdict.compared) > 1:
        parts.insert(0, f"p and estimate of {found[0].name}")
    parts += [disagreement(verdict), _matters_text(verdict), _beyond_zero_text(verdict)]
    parts.append(readings_text(verdict))
    return "; ".join(part for part in parts if part)


def readings_text(verdict: Verdict) -> str:
    """Return whether the verdict holds however the curve is read; empty where it is no curve."""
    asked = [each for each in verdict.readings if each.judged]
    if verdict.robust is None:
        return ""
    own = reading_name(verdict.claim.at)
    if verdict.robust:
        others = ", ".join(reading_name(each.claim.at) for each in asked)
        return f"the same by {own} and by {others}"
    differing = ", ".join(
        f"{each.outcome} by {reading_name(each.claim.at)}"
        for each in asked
        if each.outcome != verdict.outcome
    )
    return f"depends on the reading: {verdict.outcome} by {own}, {differing}"


def _matters_text(verdict: Verdict) -> str:
    """Return what the verdict were, did the smallest difference that matters not count."""
    if verdict.without_matters in (None, verdict.outcome):
        return ""
    return (
        f"{verdict.outcome} by the smallest difference that matters "
        f"({asked_text(verdict.claim)}), without it {verdict.without_matters}"
    )


def _beyond_zero_text(verdict: Verdict) -> str:
    """Return that a difference is significant on the side that a margin allows for."""
    claim, decision = verdict.claim, verdict.decision
    if decision is None or verdict.outcome != "supported" or not claim.compare:
        return ""
    side = "below" if claim.expect == "greater" else "above"
    holding = [e for e, t in zip(verdict.estimates, decision.tests, strict=True) if t.holds]
    beyond = sum(e.high < 0 if side == "below" else e.low > 0 for e in holding)
    if claim.expect == "equal" or not beyond:
        return ""
    where = f" in {beyond} of {len(verdict.compared)}" if len(verdict.compared) > 1 else ""
    return f"within the margin, yet significantly {side} 0{where}"


def disagreement(verdict: Verdict) -> str:
    """Return what either test alone would say; empty where they agree."""
    decision = verdict.decision
    if decision is None or decision.by_t == decision.by_flips:
        return ""
    return f"tests disagree: by t alone {decision.by_t}, by sign flips alone {decision.by_flips}"


def settled_text(settled: Settled, undecided: bool) -> str:
    """Return at which look a claim was decided, or why it is open."""
    last, following = settled.looks.at[-1], [n for n in settled.following if n is not None]
    if not undecided:
        return f"at the look at {settled.look} seeds"
    if following:
        return f"next look at {min(following)} seeds"
    if settled.look == last:
        return f"open after the last look, at {last} seeds"
    return f"little chance to be decided by {last} seeds"


def _outlook_text(verdict: Verdict, outlook: Outlook | None) -> str:
    if outlook is None or outlook.seeds is None:
        return f"not within {LIMIT:,} seeds as it looks"
    text = f"about {plural(outlook.seeds, 'seed')} would decide: {outlook.outcome}"
    decision = verdict.decision
    if decision is None or outlook.comparison == decision.deciding:
        return text
    estimate = compared_text(verdict, verdict.estimates[outlook.comparison])
    return f"{text} by {verdict.compared[outlook.comparison].name} ({estimate})"
