"""What a claim asks of the records: its executable form, in words made from the claim itself."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from bench.report.claims.budget import budget_text
from bench.report.claims.compared import difference_name
from bench.report.claims.verdict import Verdict, compared_metric
from bench.report.numbers import plural
from bench.report.tables.layout import axis_name, label
from bench.spec.cell import SEED, Scalar
from bench.spec.claims import At, AtLeast, Claim, Pairs
from bench.spec.plan import Plan

_SIGNS = {"greater": (">", "<", 1.0), "less": ("<", ">", -1.0)}


def form_text(verdict: Verdict, plan: Plan) -> str:
    """Return what is compared, where, over what it is averaged, and what is expected of it.

    Values of axes that the plan's profile does not have are left out.
    """
    claim = verdict.claim
    shown = verdict.shown or compared_metric(claim, plan)
    averaged = _listed(map(axis_name, claim.mean_over)) if claim.mean_over else ""
    sentences = [
        f"{_measured(claim.at, shown.metric)}: {_compared(claim, plan)}",
        _selected(claim, plan),
        f"Averaged over {averaged}, seed by seed" if averaged else "",
        budget_text(claim, verdict.compared, plan),
        _asked_of(claim, len(verdict.compared)),
        expected_text(claim, shown.unit),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def form_sentences(verdict: Verdict, plan: Plan) -> list[str]:
    """Return a claim's form, what would refute it, where it comes from, how else it may be read."""
    claim = verdict.claim
    others = ", ".join(reading_name(at) for at in claim.readings)
    return [
        sentence
        for sentence in (
            form_text(verdict, plan),
            f"Refuted by: {claim.refuted_by}" if claim.refuted_by else "",
            f"Derived from: {claim.derived_from}" if claim.derived_from else "",
            f"Other readings: {others}." if others else "",
        )
        if sentence
    ]


def reading_name(at: At | None) -> str:
    """Return a short name for what is taken of a curve; empty where it is no curve.

    >>> reading_name(At(area=(0, 100), scale="log")), reading_name(At(step="end"))
    ('log area 0–100', 'end')
    """
    return "" if at is None else at.name


def asked_text(claim: Claim) -> str:
    """Return what is expected of each number, in signs; empty where nothing is.

    >>> asked_text(Claim(id="a", text="A.", source="s", suite="t", refuted_by="r",
    ...                  expect="less", number=1.5))
    '< 1.5'
    """
    if claim.expect is None:
        return ""
    number = claim.number or 0.0
    if claim.expect == "equal":
        text = f"{_number(number)} ± {_number(claim.by)}"
    else:
        above, below, side = _SIGNS[claim.expect]
        text = f"{above} {_number(number + side * claim.by)}"
        if claim.matters is not None:
            text += f", refuted {below} {_number(number + side * claim.matters)}"
    by = {"search": "tuning"}.get(claim.budget or "", claim.budget)
    return f"{text}, at equal {by}" if by is not None else text


def expected_text(claim: Claim, unit: str) -> str:
    """Return what supports and what refutes a claim, as thresholds in the unit."""
    number = claim.number or 0.0
    if claim.expect == "equal":
        within = f"{_amount(claim.by, unit)} of {_number(number)}"
        return f"Supported within {within}, refuted farther away"
    words = ("above", "below") if claim.expect == "greater" else ("below", "above")
    side = 1.0 if claim.expect == "greater" else -1.0
    supported = _amount(number + side * claim.by, unit)
    if claim.matters is None:
        return f"Supported {words[0]} {supported}, refuted {words[1]}"
    return (
        f"Supported {words[0]} {supported}, refuted {words[1]} "
        f"{_amount(number + side * claim.matters, unit)}, the smallest difference that matters"
    )


def unit_text(unit: str) -> str:
    """Return what follows a number: a percentage's differences are in points.

    >>> unit_text("%"), unit_text("")
    (' points', '')
    """
    return " points" if unit == "%" else f" {unit}".rstrip()


def _amount(value: float, unit: str) -> str:
    in_unit = " point" if unit == "%" and abs(value) == 1 else unit_text(unit)
    return f"{_number(value)}{in_unit}"


def _measured(at: At | None, metric: str) -> str:
    if at is None:
        return metric
    if at.step == "end":
        return f"{metric} at its last point"
    if at.reaches is not None:
        return f"{metric} where {at.curve} first reaches {_number(at.reaches)}"
    if at.fitted is not None:
        return f"{metric} where {at.curve} is {_number(at.fitted)}, by a monotone fit"
    if at.area is None:
        return f"{metric} at step {at.step}"
    weights = "step s weighing 1/(s + 1)" if at.scale == "log" else "each step alike"
    return f"Mean of {metric} over steps {at.area[0]} to {at.area[1]}, {weights}"


def _compared(claim: Claim, plan: Plan) -> str:
    if not claim.compare:
        return "the value itself"
    first, *second = claim.compare
    text = _contrast(first, plan)
    for contrast in second:
        text += f", and of that the difference {_contrast(contrast, plan)}"
    return text


def _contrast(contrast: Pairs, plan: Plan) -> str:
    here = _values(plan, contrast.axis)
    choices = [c for c in contrast.choices if all(v in here for pair in c for v in pair)]
    shown = partial(label, plan.suite)
    return "; ".join(
        difference_name(contrast.axis, choice, shown) for choice in choices or contrast.choices
    )


def _selected(claim: Claim, plan: Plan) -> str:
    """Return where the claim is asked: the values it selects, and which axes keep all of theirs."""
    parts = []
    for axis, values in claim.where.items():
        here = [v for v in values if v in _values(plan, axis)] or values
        shown = _listed([label(plan.suite, axis, v) for v in here], "or")
        parts.append(f"at {axis_name(axis)} {shown}")
    named = {*claim.where, *claim.mean_over, *(c.axis for c in claim.compare), SEED}
    rest = [a for a in plan.suite.axes if a not in named and len(_values(plan, a)) > 1]
    if rest:
        parts.append(f"at every {_listed(map(axis_name, rest))}")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _asked_of(claim: Claim, comparisons: int) -> str:
    if claim.of == "mean":
        return "Asked of the mean of all comparisons, seed by seed"
    if claim.of == "each":
        return "" if comparisons == 1 else "Asked of each comparison"
    if isinstance(claim.of, AtLeast):
        return f"Asked of at least {plural(claim.of.at_least, 'comparison')}"
    known = f", {claim.quorum(comparisons)} of {comparisons}" if comparisons else ""
    return f"Asked of more than half of the comparisons{known}"


def _values(plan: Plan, axis: str) -> list[Scalar]:
    return list(dict.fromkeys(p.place[axis] for p in plan.shown if axis in p.place))


def _listed(words: Iterable[str], last: str = "and") -> str:
    each = list(words)
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} {last} {each[-1]}"


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
