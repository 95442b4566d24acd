"""How many of many verdicts are expected to be wrong, if nothing were there to be found."""

from __future__ import annotations

import math

from scipy.special import bdtrc

from bench.stats.sides import ALPHA
from bench.stats.verdict import Question


def false_verdicts(question: Question, comparisons: int) -> float:
    """Return the probability of a verdict, supported or refuted, where all comparisons are null.

    Null is an expected value at the margin. Comparisons are taken as independent and tests as
    exactly at their level, which no other data are much above: where comparisons of a claim about
    each depend on one another, its support reaches up to 2.5% in addition. One comparison has 5%,
    2.5% a side; one of many about 2.5%, from its refutation alone.

    Parameters
    ----------
    comparisons
        How many the statement is about, at least 1.
    """
    needed = comparisons if question.quorum is None else question.quorum
    supported = ALPHA**comparisons
    if question.quorum is not None:
        supported = _decided(needed, comparisons)
    refuted = _decided(comparisons - needed + 1, comparisons)
    # No expected value is at the margin and at what matters: one of both is the truth.
    apart = question.matters is not None and question.matters > question.margin
    return max(supported, refuted) if apart else supported + refuted


def _decided(count: int, family: int) -> float:
    """Return the probability that Holm's correction leaves ``count`` of a null family."""
    level = ALPHA / (family - count + 1)
    if count == 1:
        return -math.expm1(family * math.log1p(-level))
    # The count-th smallest p has to be this small; the smaller ones then nearly always are.
    return float(bdtrc(count - 1, family, level))
