"""What is said of many verdicts at once, since nothing is corrected over claims."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.report.claims.verdict import Verdict
from bench.stats.family import false_discovery
from bench.stats.many import false_verdicts

DISCOVERY = 0.05
"""The share of false verdicts, among those that pass, that q is held against."""


def expected_false(found: Iterable[Verdict]) -> float:
    """Return how many false verdicts are expected of tested claims, were every comparison null."""
    decisions = (verdict.decision for verdict in found)
    return sum(false_verdicts(d.question, len(d.tests)) for d in decisions if d is not None)


def expected_text(expected: float) -> str:
    """Return the number with the words that go with it.

    >>> expected_text(0.7251)
    'expected false verdicts, if all were null: 0.7'
    """
    digits = 1 if expected >= 0.1 else 2
    return f"expected false verdicts, if all were null: {expected:.{digits}f}"


def claim_ps(found: Iterable[Verdict]) -> list[float]:
    """Return each claim's p of "neither supported nor refuted"; NaN where it was not tested."""
    return [v.decision.p_claim if v.decision is not None else math.nan for v in found]


def discovery_rates(found: Sequence[Verdict]) -> list[float]:
    """Return each claim's q: the false discovery rate at which its verdict would pass."""
    return list(false_discovery(claim_ps(found)))
