"""A verdict as JSON: everything that is known of it, so that others can check it."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bench.report.claims.compared import Compared
from bench.report.claims.form import form_text, reading_name
from bench.report.claims.verdict import Verdict
from bench.spec.plan import Plan
from bench.stats.intervals import Estimate
from bench.stats.sequential.settling import Settled
from bench.stats.verdict import Test

# What a claim asks, as its paper.yaml has it.
_ASKED = {
    "metric", "at", "compare", "where", "mean_over", "expect", "number", "by", "matters", "of",
    "budget",
    "refuted_by", "derived_from",
}  # fmt: skip


def verdict_json(verdict: Verdict, plan: Plan | None = None) -> dict[str, Any]:
    """Return a verdict as JSON-ready data; numbers that are not finite are null.

    Parameters
    ----------
    plan
        Of the suite that the claim is about; without it there is no form in words.
    """
    claim = verdict.claim
    tested = plan is not None and claim.kind == "tested"
    return {
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "suite": claim.suite,
        **claim.model_dump(mode="json", include=_ASKED, by_alias=True),
        "metric": verdict.shown.metric if verdict.shown else claim.metric,
        "form": form_text(verdict, plan) if plan is not None and tested else None,
        **_outcome_json(verdict),
        "readings": [_outcome_json(each) for each in verdict.readings],
    }


def _outcome_json(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    return {
        "reading": reading_name(verdict.claim.at),
        "unit": verdict.shown.unit if verdict.shown else None,
        "verdict": verdict.outcome,
        "without_matters": verdict.without_matters,
        "reason": verdict.reason or None,
        "partial": verdict.partial,
        "needed": verdict.claim.quorum(len(verdict.compared)),
        "p": _finite(verdict.p),
        "p_support": _finite(decision.p_support) if decision else None,
        "p_refute": _finite(decision.p_refute) if decision else None,
        "by_t": decision.by_t if decision else None,
        "by_flips": decision.by_flips if decision else None,
        "outlook": asdict(verdict.outlook) if verdict.outlook is not None else None,
        "deciding": decision.deciding if decision else None,
        "sequential": _settled_json(verdict.settled),
        "comparisons": _comparisons_json(verdict),
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


def _comparisons_json(verdict: Verdict) -> list[dict[str, Any]]:
    if verdict.decision is None:
        return [_compared_json(each) for each in verdict.compared]
    found = zip(verdict.compared, verdict.estimates, verdict.decision.tests, strict=True)
    return [
        {**_compared_json(each), **_estimate_json(estimate), **_test_json(test)}
        for each, estimate, test in found
    ]


def _compared_json(compared: Compared) -> dict[str, Any]:
    found = {"name": compared.name, "n": compared.n, "expected": compared.expected}
    undefined = {str(seed): why for seed, why in compared.undefined.items()}
    return {**found, "undefined": undefined} if undefined else found


def _test_json(test: Test) -> dict[str, Any]:
    return {
        "p_support": _finite(test.p_support),
        "p_refute": _finite(test.p_refute),
        "adjusted_p_support": _finite(test.adjusted_support),
        "adjusted_p_refute": _finite(test.adjusted_refute),
        "t_p": _finite(test.t),
        "sign_flip_p": _finite(test.sign_flip),
        "holds": test.holds,
        "fails": test.fails,
    }


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    names = ("mean", "low", "high", "sd")
    return {name: _finite(getattr(estimate, name)) for name in names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
