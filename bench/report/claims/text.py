"""How verdicts are written: in tables, and as JSON."""

from __future__ import annotations

import math
from typing import Any

from bench.report.claims.verdict import Compared, Verdict
from bench.report.numbers import NOTHING, mean_text, plural
from bench.stats.intervals import Estimate
from bench.stats.sequential.settling import Settled
from bench.stats.verdict import LIMIT, Test

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


def deciding(verdict: Verdict) -> tuple[Compared, Test] | None:
    """Return the comparison that decides, with its test: the one whose p is the verdict's."""
    decision = verdict.decision
    if decision is None:
        return None
    return verdict.compared[decision.deciding], decision.tests[decision.deciding]


def estimate_text(verdict: Verdict) -> str:
    """Return the deciding comparison's mean and half-width, with its unit: a % is a point here."""
    found = deciding(verdict)
    if found is None or verdict.shown is None:
        return NOTHING
    text = mean_text(found[1].estimate, verdict.shown.decimals, signed=True)
    unit = "points" if verdict.shown.unit == "%" else verdict.shown.unit
    return f"{text} {unit}".rstrip()


def holding_text(verdict: Verdict) -> str:
    """Return how many comparisons hold by themselves, of how many."""
    if verdict.decision is None:
        return NOTHING
    return f"{verdict.holding}/{len(verdict.compared)}"


def remark(verdict: Verdict) -> str:
    """Return why there is no verdict, what would decide, and which comparison decides."""
    found = deciding(verdict)
    if verdict.decision is None or found is None:
        return verdict.reason
    parts = []
    if verdict.settled is not None:
        parts = [settled_text(verdict.settled, verdict.outcome == "undecided")]
    elif verdict.outcome == "undecided":
        parts = [_seeds_text(verdict.seeds)]
    if len(verdict.compared) > 1:
        kind = "against" if verdict.outcome == "refuted" else "weakest"
        parts.append(f"{kind}: {found[0].name}")
    parts.append(disagreement(verdict))
    return "; ".join(part for part in parts if part)


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


def _seeds_text(seeds: int | None) -> str:
    if seeds is None:
        return f"not within {LIMIT:,} seeds as it looks"
    return f"about {plural(seeds, 'seed')} would decide"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON-ready data; numbers that are not finite are null."""
    claim, decision = verdict.claim, verdict.decision
    return {
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "suite": claim.suite,
        "metric": verdict.shown.metric if verdict.shown else claim.metric,
        "unit": verdict.shown.unit if verdict.shown else None,
        "expect": claim.expect,
        "by": claim.by,
        "number": claim.number,
        "matters": claim.matters,
        "verdict": verdict.outcome,
        "reason": verdict.reason or None,
        "partial": verdict.partial,
        "p": _finite(verdict.p),
        "p_support": _finite(decision.p_support) if decision else None,
        "p_refute": _finite(decision.p_refute) if decision else None,
        "seeds_to_decide": verdict.seeds,
        "deciding": decision.deciding if decision else None,
        "sequential": _settled_json(verdict.settled),
        "comparisons": [
            _comparison_json(each, decision.tests[i] if decision else None)
            for i, each in enumerate(verdict.compared)
        ],
    }


def _settled_json(settled: Settled | None) -> dict[str, Any] | None:
    if settled is None:
        return None
    looks = settled.looks
    return {
        "looks": list(looks.at),
        "alpha": looks.alpha,
        "spending": looks.spending,
        "look": settled.look,
        "level": settled.level,
        "next": list(settled.following),
        "chances": list(settled.chances),
    }


def _comparison_json(compared: Compared, test: Test | None) -> dict[str, Any]:
    data: dict[str, Any] = {"name": compared.name, "n": compared.n, "expected": compared.expected}
    if test is None:
        return data
    return {
        **data,
        **_estimate_json(test.estimate),
        "p_support": _finite(test.p_support),
        "p_refute": _finite(test.p_refute),
        "adjusted_p_support": _finite(test.adjusted_support),
        "adjusted_p_refute": _finite(test.adjusted_refute),
        "sign_flip_p": _finite(test.sign_flip),
        "holds": test.holds,
        "fails": test.fails,
    }


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    names = ("mean", "low", "high", "sd")
    return {name: _finite(getattr(estimate, name)) for name in names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
