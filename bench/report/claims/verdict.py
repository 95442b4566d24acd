"""From records to verdicts: each claim's comparisons, seed by seed, tested and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.claims.beyond import beyond_excerpt
from bench.report.claims.budget import unplanned_budget
from bench.report.claims.compared import Compared, compared_values, undefined_text
from bench.report.claims.further import Further
from bench.report.numbers import plural
from bench.report.results import Entry, Results, place_key
from bench.spec.claims import Claim
from bench.spec.comparisons import Comparison, comparisons
from bench.spec.metrics import difference_of
from bench.spec.plan import Plan
from bench.spec.suite import ShownMetric
from bench.stats.intervals import Estimate
from bench.stats.sample import excess
from bench.stats.sequential.settling import Settled, settle
from bench.stats.sides import Values
from bench.stats.verdict import Decision, Outlook, Question, decide, seeds_to_verdict

Outcome = Literal["supported", "refuted", "undecided", "not run", "proved", "not rebuilt"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "undecided", "not run")
_NAMED = 3


@dataclass(frozen=True)
class Verdict:
    """What the records say of a claim.

    Attributes
    ----------
    outcome
        ``proved`` and ``not rebuilt`` are not about records and never counted.
    shown
        What was compared: the metric, its unit and its decimals.
    reason
        Why it was not run, or is undecided without a test; the test that proves it; why it is not
        rebuilt.
    compared, decision
        The comparisons in the plan's order and what they come to; None where not run, and where a
        seed's value is undefined: the others would be those that got there. The decision's
        estimates are of how far a value lies from the claim's number.
    outlook
        What more seeds would probably bring; None where it is decided, or settled by a rule.
    readings
        The verdicts by what else might have been taken of the curve.
    without_matters
        The outcome, were any effect beyond the margin worth the name; None for a claim that does
        not say what matters.
    settled
        What the sequential rule says, where the claim is judged by it: then p-values are
        sequential and intervals repeated ones.
    """

    claim: Claim
    outcome: Outcome
    shown: ShownMetric | None = None
    reason: str = ""
    compared: tuple[Compared, ...] = ()
    decision: Decision | None = None
    outlook: Outlook | None = None
    settled: Settled | None = None
    without_matters: Outcome | None = None
    readings: tuple[Verdict, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a comparison lacks seeds."""
        return any(each.n < each.expected for each in self.compared)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Mean and interval of each comparison itself; none where not run."""
        tests = self.decision.tests if self.decision else ()
        return tuple(_moved(test.estimate, self.claim.number or 0.0) for test in tests)

    @property
    def robust(self) -> bool | None:
        """Whether every reading that can be asked gives the same verdict; None without any."""
        others = [each.outcome for each in self.readings if each.judged]
        if not self.judged or not others:
            return None
        return all(outcome == self.outcome for outcome in others)

    @property
    def judged(self) -> bool:
        """Whether records say something of it, be it that nothing can be decided."""
        return self.outcome in ("supported", "refuted", "undecided")

    @property
    def holding(self) -> int:
        """How many comparisons hold by themselves."""
        return sum(test.holds for test in self.decision.tests) if self.decision else 0

    @property
    def p(self) -> float | None:
        """The p-value of the verdict, its number of comparisons taken into account."""
        if self.decision is None:
            return None
        refuted = self.outcome == "refuted"
        return self.decision.p_refute if refuted else self.decision.p_support


def compared_metric(claim: Claim, plan: Plan) -> ShownMetric:
    """Return the metric or curve that a claim compares: the table's where it does not say."""
    first = plan.suite.metrics[0]
    name, at = (claim.metric, claim.at) if claim.metric else (first.metric, first.at)
    known = plan.metrics if at is None else plan.curves
    shown = next((m for m in plan.suite.metrics if m.metric == name), ShownMetric(metric=name))
    shown = shown.model_copy(update={"at": at})
    # Both metrics of a difference have one unit.
    declared = known.get((difference_of(name) or (name,))[0])
    if declared is None:
        return shown
    return shown.model_copy(update={"unit": declared.unit, "best": declared.best})


def verdicts(results: Results, further: Further | None = None) -> list[Verdict]:
    """Return the verdict on each claim about a plan's suite, in the paper's order.

    With ``further`` seeds every claim is judged by their rule, whether or not it got some.
    """
    plan = results.plan
    own = [c for c in plan.paper.claims if c.kind == "tested" and c.suite == plan.suite.name]
    return [evaluate(claim, results, further) for claim in own]


def without_records(claim: Claim, reason: str = "") -> Verdict:
    """Return the verdict on a claim that no records are looked at for."""
    if claim.kind == "proved":
        return Verdict(claim, "proved", reason=claim.proved_by or "")
    if claim.kind == "not rebuilt":
        return Verdict(claim, "not rebuilt", reason=claim.not_rebuilt or "")
    return Verdict(claim, "not run", reason=reason)


def evaluate(claim: Claim, results: Results, further: Further | None = None) -> Verdict:
    """Return the verdict on one claim about a plan's suite, with those of its other readings."""
    if claim.kind != "tested":
        return without_records(claim)
    if claim.profiles and results.plan.profile not in claim.profiles:
        return without_records(claim, f"asked in profile {' and '.join(claim.profiles)} only")
    beyond = beyond_excerpt(claim, results.plan)
    if beyond:
        return without_records(claim, beyond)
    own = _evaluate(claim, results, further)
    others = tuple(
        _evaluate(claim.model_copy(update={"at": at, "readings": ()}), results, further)
        for at in claim.readings
    )
    return replace(own, readings=others)


def _evaluate(claim: Claim, results: Results, further: Further | None) -> Verdict:
    """Return the verdict on a claim as it is read.

    Seeds are paired whatever axis is compared: pairs by seed are independent of each other even
    where their halves are not (nested subsets at two rates, one head's start), which Welch's test
    would need.
    """
    plan = results.plan
    shown = compared_metric(claim, plan)
    entries = results.entries(shown)
    if further is not None:
        entries = further.lengthened(entries)
    asked = comparisons(claim, [entry.where for entry in entries])
    reason = _cannot_ask(claim, plan, asked, entries)
    if reason:
        return without_records(claim, reason)
    compared = compared_values(asked, entries, plan.suite)
    unplanned = unplanned_budget(claim, compared, further.results if further else results)
    if unplanned:
        return Verdict(claim, "not run", shown, unplanned, compared)
    nowhere = undefined_text(claim, compared)
    if nowhere:
        return Verdict(claim, "undecided", shown, nowhere, compared)
    missing = [each for each in compared if each.n < 2]
    if missing:
        return Verdict(claim, "not run", shown, _missing(missing, compared), compared)
    quorum = claim.quorum(len(compared))
    question = Question(claim.expect or "greater", claim.by, claim.matters, quorum)
    samples = [excess([*each.values.values()], claim.number or 0.0) for each in compared]
    decision, settled = _decided(samples, question, further)
    outlook = None if settled is not None else seeds_to_verdict(samples, question, decision)
    without = None
    if claim.matters is not None:
        without = _decided(samples, replace(question, matters=None), further)[0].outcome
    return Verdict(
        claim, decision.outcome, shown, "", compared, decision, outlook, settled, without
    )


def _decided(
    samples: Sequence[Values], question: Question, further: Further | None
) -> tuple[Decision, Settled | None]:
    if further is None:
        return decide(samples, question), None
    settled = settle(samples, question, further.looks, every=further.every)
    return settled.decision, settled


def _moved(estimate: Estimate, by: float) -> Estimate:
    return replace(
        estimate, mean=estimate.mean + by, low=estimate.low + by, high=estimate.high + by
    )


def _cannot_ask(
    claim: Claim, plan: Plan, asked: Sequence[Comparison], entries: Sequence[Entry]
) -> str:
    if not asked:
        return "this profile has no such cells"
    quorum = claim.quorum(len(asked)) or 1
    if len(asked) < quorum:
        return f"it asks for {quorum} comparisons, and this profile has {len(asked)}"
    if claim.at is not None:
        needed = {i for comparison in asked for _, i in comparison.terms}
        places = {place_key(entries[i].where) for i in needed}
        steps = min(
            planned.cell.recipe.steps
            for planned in plan.shown
            if planned.cell.recipe is not None and place_key(planned.labels) in places
        )
        if claim.at.last_step > steps:
            return f"it looks at step {claim.at.last_step:,}, and cells have {steps:,} here"
    return ""


def _missing(missing: Sequence[Compared], compared: Sequence[Compared]) -> str:
    if all(each.expected < 2 for each in compared):
        return "one seed is planned, and a verdict needs two"
    names = "; ".join(each.name for each in missing[:_NAMED])
    rest = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"fewer than two seeds in {len(missing)} of {plural(len(compared), 'comparison')}: "
        f"{names}{rest}"
    )
