"""From seeds' values to a verdict on a statement about several expected values.

Each comparison is a sample of values, one a seed, and the statement is about its expected value μ:
greater than a margin, less than minus the margin, or equal to zero within it. All tests are
one-sided at 2.5%, so that they agree with the 95% intervals shown beside them.

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
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.stats.family import holm
from bench.stats.intervals import Estimate, mean_interval
from bench.stats.power import seeds_to_decide
from bench.stats.sample import Sample, sample
from bench.stats.signflip import sign_flip
from bench.stats.ttests import one_sided

ALPHA = 0.025
LIMIT = 1000
_DRAWS = 1_999
Values = NDArray[np.float64]
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
        One-sided p-values of Student's t: that μ is as expected, and that it is not. The exact
        sign-flip's where all values are equal: a spread of zero is not known to be zero.
    adjusted_support, adjusted_refute
        The same after Holm's correction over the comparisons.
    sign_flip
        Exact one-sided p-value for ``p_support``'s alternative, by flipping signs.
    holds, fails
        Whether it counts as support, and as refutation.
    """

    estimate: Estimate
    p_support: float
    p_refute: float
    adjusted_support: float
    adjusted_refute: float
    sign_flip: float
    holds: bool
    fails: bool


@dataclass(frozen=True)
class Decision:
    """The verdict on all comparisons together.

    Attributes
    ----------
    p_support, p_refute
        Level at which the statement is supported, and refuted, its comparisons' number taken
        into account.
    deciding
        Index of the comparison whose p-value that is: of ``p_refute`` where refuted.
    """

    outcome: Outcome
    tests: tuple[Test, ...]
    p_support: float
    p_refute: float
    deciding: int


@dataclass(frozen=True)
class Sides:
    """The p-values of μ > margin and of μ < margin, by the rule's test and by sign flips."""

    greater: float
    less: float
    flipped_greater: float
    flipped_less: float


class Rule(Protocol):
    """How a sample speaks of its expected value."""

    def sides(self, x: Values, margin: float) -> Sides:
        """Return the one-sided p-values against a margin."""

    def estimate(self, x: Values) -> Estimate:
        """Return the mean with the interval that goes with the tests."""


class FixedSample:
    """Student's t, and its interval, for a number of seeds that did not depend on their values."""

    def sides(self, x: Values, margin: float) -> Sides:
        """Return the p-values of the t test; the exact sign flips' where all values are equal."""
        if not np.isfinite(x).all():
            return Sides(1.0, 1.0, 1.0, 1.0)
        # Beyond the seeds that are enumerated t decides, and flips are only shown beside it.
        flipped = (
            sign_flip(x - margin, "greater", draws=_DRAWS).p,
            sign_flip(x - margin, "less", draws=_DRAWS).p,
        )
        if sample(x).sd == 0:
            return Sides(*flipped, *flipped)
        test = one_sided(x, margin)
        return Sides(test.p_greater, test.p_less, *flipped)

    def estimate(self, x: Values) -> Estimate:
        """Return the mean with its 95% interval."""
        return mean_interval(x)


FIXED = FixedSample()


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
    tests = _tests(values, question, rule)
    own = [t.p_support if question.quorum is None else t.adjusted_support for t in tests]
    supporting = _at(own, needed)
    refuting = _at([t.adjusted_refute for t in tests], len(tests) - needed + 1)
    outcome: Outcome = "undecided"
    if sum(test.fails for test in tests) > len(tests) - needed:
        outcome = "refuted"
    elif sum(test.holds for test in tests) >= needed:
        outcome = "supported"
    return Decision(
        outcome=outcome,
        tests=tests,
        p_support=own[supporting],
        p_refute=tests[refuting].adjusted_refute,
        deciding=refuting if outcome == "refuted" else supporting,
    )


def _at(p: Sequence[float], rank: int) -> int:
    """Return the index of the ``rank``-th smallest p-value, ranks from 1."""
    return sorted(range(len(p)), key=lambda i: p[i])[rank - 1]


def _tests(samples: Sequence[Values], question: Question, rule: Rule) -> tuple[Test, ...]:
    raw = [_p_values(each, question, rule) for each in samples]
    support = holm([p for p, _, _ in raw])
    refute = holm([p for _, p, _ in raw])
    tests = []
    for i, (each, (p_support, p_refute, flipped)) in enumerate(zip(samples, raw, strict=True)):
        passed = p_support if question.quorum is None else support[i]
        tests.append(
            Test(
                estimate=rule.estimate(each),
                p_support=p_support,
                p_refute=p_refute,
                adjusted_support=support[i],
                adjusted_refute=refute[i],
                sign_flip=flipped,
                # Below what matters is no support, significant or not.
                holds=passed <= ALPHA and p_refute > ALPHA,
                fails=refute[i] <= ALPHA,
            )
        )
    return tuple(tests)


def _p_values(x: Values, question: Question, rule: Rule) -> tuple[float, float, float]:
    """Return the p-values for and against, and the sign-flip's for."""
    margin = question.margin
    if question.expect == "equal":
        above, below = rule.sides(x, -margin), rule.sides(x, margin)
        return (
            max(above.greater, below.less),
            min(below.greater, above.less),
            max(above.flipped_greater, below.flipped_less),
        )
    # μ < −margin is −μ > margin.
    x = -x if question.expect == "less" else x
    wanted = rule.sides(x, margin)
    threshold = wanted if question.matters is None else rule.sides(x, question.threshold)
    return wanted.greater, threshold.less, wanted.flipped_greater


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
        (True, needed - sum(t.holds for t in decision.tests), 1 if needed == total else total),
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
        if math.isinf(self.effect):
            # Equal values are decided by flipping signs, 2⁻ⁿ at best.
            return math.ceil(-math.log2(level))
        return seeds_to_decide(self.effect, 1.0, 0.0, self.power, 2 * level, LIMIT)


def _ahead(mean: float, question: Question) -> bool:
    """Whether a mean lies where more seeds would support."""
    if question.expect == "equal":
        return abs(mean) <= question.margin
    return (-mean if question.expect == "less" else mean) >= question.threshold
