"""From records to verdicts: each claim's comparisons, seed by seed, tested and decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench.report.claims.further import Further
from bench.report.numbers import plural
from bench.report.results import Entry, Results, place_key
from bench.report.tables.layout import label
from bench.spec.claims import Claim
from bench.spec.comparisons import Comparison, comparisons
from bench.spec.plan import Plan
from bench.spec.recipe import Scalar
from bench.spec.suite import ShownMetric
from bench.stats.sample import total
from bench.stats.sequential.settling import Settled, settle
from bench.stats.verdict import Decision, Question, decide, seeds_to_verdict

Outcome = Literal["supported", "refuted", "undecided", "not run", "proved", "not rebuilt"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "undecided", "not run")
_NAMED = 3


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim.

    Attributes
    ----------
    name
        What is compared, and where, by the suite's labels.
    values
        Seed to value less the claim's number, in the claim's unit; the seeds that all its cells
        have.
    expected
        How many seeds are planned; with further seeds, those too.
    terms
        ``(weight, place)`` of each value that it is a sum of.
    """

    name: str
    values: Mapping[Scalar, float]
    expected: int
    terms: tuple[tuple[float, Mapping[str, Scalar]], ...] = ()

    @property
    def n(self) -> int:
        """How many seeds it is of."""
        return len(self.values)


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
        Why it was not run; the test that proves it; why it is not rebuilt.
    compared, decision
        The comparisons in the plan's order and what they come to; None where not run.
    seeds
        How many seeds would probably decide; None where decided, or beyond the limit.
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
    seeds: int | None = None
    settled: Settled | None = None

    @property
    def partial(self) -> bool:
        """Whether a comparison lacks seeds."""
        return any(each.n < each.expected for each in self.compared)

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
    name = claim.metric or plan.suite.metrics[0].metric
    known = plan.metrics if claim.at is None else plan.curves
    shown = next((m for m in plan.suite.metrics if m.metric == name), ShownMetric(metric=name))
    declared = known.get(name)
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
    """Return the verdict on one claim about a plan's suite.

    Seeds are paired whatever axis is compared: pairs by seed are independent of each other even
    where their halves are not (nested subsets at two rates, one head's start), which Welch's test
    would need.
    """
    plan = results.plan
    if claim.kind != "tested":
        return without_records(claim)
    if claim.profiles and plan.profile not in claim.profiles:
        return without_records(claim, f"asked in profile {' and '.join(claim.profiles)} only")
    shown = compared_metric(claim, plan)
    entries = results.entries(shown, claim.at)
    if further is not None:
        entries = further.lengthened(entries, claim.at)
    asked = comparisons(claim, [entry.where for entry in entries])
    reason = _cannot_ask(claim, plan, asked, entries)
    if reason:
        return without_records(claim, reason)
    names = comparison_names(asked, partial(label, plan.suite))
    if claim.number:
        # What is shown, and tested, is how far the value is from the number.
        names = [f"{name}, less {f'{claim.number:g}'.replace('-', '−')}" for name in names]
    compared = tuple(
        _compared(comparison, entries, claim, name)
        for comparison, name in zip(asked, names, strict=True)
    )
    missing = [each for each in compared if each.n < 2]
    if missing:
        return Verdict(claim, "not run", shown, _missing(missing, compared), compared)
    question = Question(claim.expect or "greater", claim.by, claim.matters, claim.quorum)
    samples = [list(each.values.values()) for each in compared]
    if further is not None:
        settled = settle(samples, question, further.looks, every=further.every)
        decision = settled.decision
        return Verdict(claim, decision.outcome, shown, "", compared, decision, settled=settled)
    decision = decide(samples, question)
    seeds = seeds_to_verdict(samples, question, decision)
    return Verdict(claim, decision.outcome, shown, "", compared, decision, seeds)


def _cannot_ask(
    claim: Claim, plan: Plan, asked: Sequence[Comparison], entries: Sequence[Entry]
) -> str:
    if not asked:
        return "this profile has no such cells"
    if claim.quorum is not None and len(asked) < claim.quorum:
        return f"it asks for {claim.quorum} comparisons, and this profile has {len(asked)}"
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


def _compared(
    comparison: Comparison, entries: Sequence[Entry], claim: Claim, name: str
) -> Compared:
    parts = [(weight, entries[i]) for weight, i in comparison.terms]
    number = claim.number or 0.0
    seeds = [s for s in parts[0][1].values if all(s in entry.values for _, entry in parts)]
    return Compared(
        name,
        {s: total([*(weight * e.values[s] for weight, e in parts), -number]) for s in seeds},
        min(entry.expected for _, entry in parts),
        tuple((weight, entry.where) for weight, entry in parts),
    )


def comparison_names(asked: Sequence[Comparison], shown: Callable[[str, Scalar], str]) -> list[str]:
    """Return each comparison's name: the axes that differ between them, then what is compared.

    ``shown`` is how a value of an axis is written.
    """
    axes = list(asked[0].where)
    varying = [a for a in axes if len({c.where.get(a) for c in asked}) > 1]
    names = []
    for comparison in asked:
        place = [shown(axis, comparison.where[axis]) for axis in varying]
        pairs = [
            f"{shown(axis, treated)} − {shown(axis, base)}"
            for axis, (treated, base) in comparison.pairs.items()
        ]
        names.append(", ".join([*place, *pairs]) or "mean")
    return names


def _missing(missing: Sequence[Compared], compared: Sequence[Compared]) -> str:
    if all(each.expected < 2 for each in compared):
        return "one seed is planned, and a verdict needs two"
    names = "; ".join(each.name for each in missing[:_NAMED])
    rest = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"fewer than two seeds in {len(missing)} of {plural(len(compared), 'comparison')}: "
        f"{names}{rest}"
    )
