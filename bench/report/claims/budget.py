"""The budget that a claim's comparisons have in common: as planned, and as records have it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.report.claims.compared import Compared
from bench.report.results import Results, place_key
from bench.spec.cell import PlannedCell
from bench.spec.claims import Claim
from bench.spec.plan import Plan

GRADIENTS = "train/gradients"
"""The metric that counts the gradients of a training."""


def budget_text(claim: Claim, compared: Sequence[Compared], plan: Plan) -> str:
    """Return by which budget cells are compared, with the planned numbers; empty where by none."""
    if claim.budget is None:
        return ""
    cells = _cells(compared, plan.shown)
    steps = [cell.recipe.steps for p in cells if (cell := p.cell).recipe is not None]
    gradients = [plan.gradients[p.cell.id] for p in cells if p.cell.id in plan.gradients]
    by_steps = claim.budget == "steps"
    named = [(steps, "steps"), (gradients, "gradients")]
    (own, unit), (other, other_unit) = named if by_steps else named[::-1]
    text = f"At equal {unit} on both sides"
    if own:
        text += f": {_span(own)} a training"
    # Of some alone it would be another comparison's.
    if other and len(other) == len(cells):
        text += f" ({_span(other)} {other_unit})"
    if claim.budget == "search" and cells:
        tunings = [plan.tunings[p.cell.id] for p in cells]
        spent = [t.gradients for t in tunings if t.gradients is not None]
        trials = _span([t.trials for t in tunings])
        text += f", each with settings chosen by {trials} trials of its own"
        text += f" ({_span(spent)} gradients)"
    return text


def unplanned_budget(claim: Claim, compared: Sequence[Compared], results: Results) -> str:
    """Return which record took other gradients than planned; empty where all are as planned.

    Only of a claim by gradients or search: a cell's steps are part of what it is.
    """
    if claim.budget not in ("gradients", "search"):
        return ""
    for planned in _cells(compared, results.plan.shown):
        record = results.records.get(planned.cell.id)
        if record is None:
            continue
        taken = record.outcome.metrics.get(GRADIENTS)
        expected = results.plan.gradients.get(planned.cell.id)
        if taken is None or taken != expected:
            place = ", ".join(f"{axis} {value}" for axis, value in planned.labels.items())
            told = "no number of" if taken is None else f"{taken:,.0f}"
            plan = "an unknown number is" if expected is None else f"{expected:,} are"
            return f"{place} has {told} gradients recorded, and {plan} planned"
    return ""


def _cells(compared: Sequence[Compared], shown: Iterable[PlannedCell]) -> list[PlannedCell]:
    places = {place_key(place) for each in compared for _, place in each.terms}
    return [planned for planned in shown if place_key(planned.place) in places]


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
