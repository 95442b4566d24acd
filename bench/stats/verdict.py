"""From seeds' values to a verdict on a statement about several expected values.

Each comparison is a sample of values, one a seed, and the statement is about its expected value μ:
greater than a margin, less than minus the margin, or equal to zero within it. All tests are
one-sided at 2.5%, and need both Student's t and the sign-flip test (``bench.stats.sides``): no
verdict contradicts the 95% interval shown beside it.

A statement about *all* comparisons is supported if each passes its own test: the union of its
alternatives' opposites is rejected only then, so that no correction is due (Berger 1982,
intersection-union test). It is refuted if any comparison lies significantly on the other side,
after Holm's correction over them. At least m of K: counts of comparisons after Holm's correction,
for both. Nothing is corrected over different statements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.family import holm
from bench.stats.intervals import Estimate
from bench.stats.power import seeds_to_decide
from bench.stats.sample import Sample, sample
from bench.stats.sides import ALPHA, FIXED, FLIPS_FROM, Rule, Values
from bench.stats.ttests import OneSided, outside

LIMIT = 1000
Outcome = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Question:
    """What is asked of the comparisons.

    Attributes
    ----------
    expect, margin
        μ > margin, μ < −margin, or |μ| ≤ margin.
    matters
        The smallest |μ| worth the name: refuted is then what lies below it, not below the
        margin. Not for ``equal``.
    quorum
        How many comparisons have to hold; all where None.
    """

    expect: Literal["greater", "less", "equal"]
    margin: float = 0.0
    matters: float | None = None
    quorum: int | None = None

    @property
    def threshold(self) -> float:
        """What an effect must fall below to refute."""
        return self.margin if self.matters is None else self.matters


@dataclass(frozen=True)
class Test:
    """One comparison.

    Attributes
    ----------
    estimate
        Mean over seeds with the 95% interval of the expected value.
    p_support, p_refute
        One-sided p-values, Student's t and sign flips together (``sides.Sides.both``): that μ is
        as expected, and that it is not. Of ``equal`` the latter is that of both bounds. The
        former is 1 where the interval lies below what ``matters``: that is no support.
    adjusted_support, adjusted_refute
        The same after Holm's correction over the comparisons.
    t, sign_flip
        The p-value for ``p_support``'s alternative by each of the two tests alone.
    holds, fails
        Whether it counts as support, and as refutation.
    """

    estimate: Estimate
    p_support: float
    p_refute: float
    adjusted_support: float
    adjusted_refute: float
    t: float
    sign_flip: float
    holds: bool
    fails: bool


@dataclass(frozen=True)
class Decision:
    """The verdict on all comparisons together.

    Attributes
    ----------
    question
        What was asked.
    p_support, p_refute
        Level at which the statement is supported, and refuted, its comparisons' number taken
        into account.
    deciding
        Index of the comparison whose p-value that is: of ``p_refute`` where refuted.
    by_t, by_flips
        The verdict if one of the two tests were enough, with t for comparisons that have too few
        seeds for sign flips.
    """

    question: Question
    outcome: Outcome
    tests: tuple[Test, ...]
    p_support: float
    p_refute: float
    deciding: int
    by_t: Outcome
    by_flips: Outcome

    @property
    def p_claim(self) -> float:
        """p of "neither": at most 5% where the statement is supported or refuted."""
        return min(1.0, 2 * min(self.p_support, self.p_refute))


def decide(samples: Sequence[ArrayLike], question: Question, rule: Rule = FIXED) -> Decision:
    """Decide a statement about the expected values of several samples.

    Parameters
    ----------
    samples
        K arrays ``(n_k,)``, one value a seed, in the unit of the margin. A sample of fewer than
        two values decides nothing.
    rule
        How one sample is tested: by default as one of a fixed size.

    Raises
    ------
    ValueError
        If there is no sample, or fewer than the quorum.
    """
    needed = len(samples) if question.quorum is None else question.quorum
    if not samples or not 1 <= needed <= len(samples):
        raise ValueError(f"{needed} of {len(samples)} comparisons cannot be asked for")
    values = [np.asarray(each, dtype=np.float64) for each in samples]
    raw = [_p_values(x, question, rule) for x in values]
    # Below what matters is no support, significant or not.
    matters = question.matters is not None
    below = [matters and each.t.against <= ALPHA for each in raw]
    both = _Family.of([each.both for each in raw], below, question)
    by_t = _Family.of([each.t for each in raw], below, question)
    by_flips = _Family.of(
        [p.flips if x.size >= FLIPS_FROM else p.t for x, p in zip(values, raw, strict=True)],
        below,
        question,
    )
    tests = tuple(
        Test(
            estimate=rule.estimate(x),
            p_support=1.0 if below[i] else p.both.support,
            p_refute=p.both.against,
            adjusted_support=both.support[i],
            adjusted_refute=both.against[i],
            t=p.t.support,
            sign_flip=p.flips.support,
            holds=both.holds[i],
            fails=both.fails[i],
        )
        for i, (x, p) in enumerate(zip(values, raw, strict=True))
    )
    own = [t.p_support if question.quorum is None else t.adjusted_support for t in tests]
    supporting = _at(own, needed)
    refuting = _at(both.against, len(tests) - needed + 1)
    return Decision(
        question=question,
        outcome=both.outcome,
        tests=tests,
        p_support=own[supporting],
        p_refute=both.against[refuting],
        deciding=refuting if both.outcome == "refuted" else supporting,
        by_t=by_t.outcome,
        by_flips=by_flips.outcome,
    )


def _at(p: Sequence[float], rank: int) -> int:
    """Return the index of the ``rank``-th smallest p-value, ranks from 1."""
    return sorted(range(len(p)), key=lambda i: p[i])[rank - 1]


class _Pair(NamedTuple):
    """p-values for what is expected, and against it."""

    support: float
    against: float

    @classmethod
    def of(cls, lower: OneSided, upper: OneSided, question: Question) -> _Pair:
        if question.expect == "equal":
            return cls(max(lower.p_greater, upper.p_less), outside(lower, upper))
        return cls(lower.p_greater, upper.p_less)


class _Pairs(NamedTuple):
    """The p-values of one comparison by each test alone, and by both."""

    t: _Pair
    flips: _Pair
    both: _Pair


def _p_values(x: Values, question: Question, rule: Rule) -> _Pairs:
    # μ < −margin is −μ > margin.
    x = -x if question.expect == "less" else x
    lower = rule.sides(x, -question.margin if question.expect == "equal" else question.margin)
    upper = lower
    if question.expect == "equal" or question.matters is not None:
        upper = rule.sides(x, question.threshold)
    return _Pairs(
        _Pair.of(lower.t, upper.t, question),
        _Pair.of(lower.flips, upper.flips, question),
        _Pair.of(lower.both, upper.both, question),
    )


@dataclass(frozen=True)
class _Family:
    """The comparisons' p-values after Holm's correction, and what they come to."""

    support: tuple[float, ...]
    against: tuple[float, ...]
    holds: tuple[bool, ...]
    fails: tuple[bool, ...]
    outcome: Outcome

    @classmethod
    def of(cls, p: Sequence[_Pair], below: Sequence[bool], question: Question) -> _Family:
        """Decide; ``below`` says of each comparison whether it lies below what matters by t."""
        # First corrected: what is no support makes the others' p no smaller.
        support = _where_not(below, holm([each.support for each in p]))
        against = holm([each.against for each in p])
        passed = support
        if question.quorum is None:
            passed = _where_not(below, [each.support for each in p])
        holds = [own <= ALPHA for own in passed]
        fails = [own <= ALPHA for own in against]
        needed = len(p) if question.quorum is None else question.quorum
        outcome: Outcome = "undecided"
        if sum(fails) > len(p) - needed:
            outcome = "refuted"
        elif sum(holds) >= needed:
            outcome = "supported"
        return cls(support, against, tuple(holds), tuple(fails), outcome)


def _where_not(below: Sequence[bool], p: Sequence[float]) -> tuple[float, ...]:
    return tuple(1.0 if low else own for low, own in zip(below, p, strict=True))


@dataclass(frozen=True)
class Outlook:
    """What more seeds would probably bring.

    Attributes
    ----------
    outcome
        The verdict that they would bring.
    comparison
        Index of the comparison that would decide: the last one that the verdict needs.
    seeds
        How many it takes; None for more than ``LIMIT``.
    """

    outcome: Outcome
    comparison: int
    seeds: int | None


def seeds_to_verdict(
    samples: Sequence[ArrayLike], question: Question, decision: Decision
) -> Outlook | None:
    """Return how many seeds would decide what is undecided, with a probability of about 0.8.

    For the case that the means and spreads seen are the true ones. Seeds that support, if enough
    comparisons point that way; otherwise those that refute. None where it is decided, or where
    neither would come.
    """
    if decision.outcome != "undecided":
        return None
    known = [sample(each) for each in samples]
    total = len(known)
    needed = total if question.quorum is None else question.quorum
    ahead = [_ahead(each.mean, question) for each in known]
    for towards, count, family in (
        # A quorum is tested after Holm's correction, also one of all comparisons.
        (
            True,
            needed - sum(t.holds for t in decision.tests),
            1 if question.quorum is None else total,
        ),
        (False, total - needed + 1 - sum(t.fails for t in decision.tests), total),
    ):
        aims = {
            i: _Aim.of(each, question, towards)
            for i, (test, each) in enumerate(zip(decision.tests, known, strict=True))
            if ahead[i] is towards and not (test.holds if towards else test.fails)
        }
        if 0 < count <= len(aims):
            # Seeds fall with the effect, so that only the last one needed is looked at.
            last = sorted(aims, key=lambda i: aims[i].effect, reverse=True)[count - 1]
            outcome: Outcome = "supported" if towards else "refuted"
            return Outlook(outcome, last, aims[last].seeds(ALPHA / family))
    return None


@dataclass(frozen=True)
class _Aim:
    """How far a comparison lies from what it has to leave, in standard deviations."""

    effect: float
    power: float

    @classmethod
    def of(cls, known: Sample, question: Question, towards: bool) -> _Aim:
        mean, margin = known.mean, question.margin if towards else question.threshold
        if question.expect == "equal":
            # The nearer bound decides; with 0.9 there, both bounds together keep 0.8.
            margin = math.copysign(question.margin, mean)
        elif question.expect == "less":
            mean = -mean
        distance = abs(mean - margin)
        if math.isnan(known.sd) or distance == 0:
            effect = 0.0
        else:
            effect = distance / known.sd if known.sd > 0 else math.inf
        return cls(effect, 0.9 if towards and question.expect == "equal" else 0.8)

    def seeds(self, level: float) -> int | None:
        """Return the seeds that it takes at a one-sided level."""
        least = math.ceil(-math.log2(level))  # flipping signs gives 2⁻ⁿ at best
        if math.isinf(self.effect):
            return least
        seeds = seeds_to_decide(self.effect, 1.0, 0.0, self.power, 2 * level, LIMIT)
        return seeds if seeds is None or seeds < FLIPS_FROM else max(seeds, least)


def _ahead(mean: float, question: Question) -> bool:
    """Whether a mean lies where more seeds would support."""
    if question.expect == "equal":
        return abs(mean) <= question.margin
    return (-mean if question.expect == "less" else mean) >= question.threshold
