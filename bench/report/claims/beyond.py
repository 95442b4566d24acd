"""Claims about more than an excerpt has: judged by fewer cells, they would be other claims."""

from __future__ import annotations

from bench.report.numbers import plural
from bench.report.results import PlaceKey, place_key
from bench.spec.claims import Claim
from bench.spec.comparisons import comparisons
from bench.spec.plan import Plan


def beyond_excerpt(claim: Claim, plan: Plan) -> str:
    """Return why a claim cannot be judged by an excerpt; empty where it has all that is compared.

    Seeds count too: fewer are another test.
    """
    if plan.whole is None:
        return ""
    cells: dict[PlaceKey, set[str]] = {}
    places = {}
    for planned in plan.whole.shown:
        key = place_key(planned.place)
        places[key] = planned.place
        cells.setdefault(key, set()).add(planned.cell.id)
    asked = comparisons(claim, [*places.values()])
    by_place = [*cells.values()]
    needed = {cell for each in asked for _, place in each.terms for cell in by_place[place]}
    lacking = needed - {planned.cell.id for planned in plan.shown}
    if not lacking:
        return ""
    return (
        f"{len(lacking):,} of {plural(len(needed), 'cell')} that it compares are not in the excerpt"
    )
