"""The cards of the front page: a paper with its main figure, its claims, what was run on what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.report.claims.text import outcome_text
from bench.report.claims.verdict import OUTCOMES
from bench.report.numbers import plural, portion
from bench.report.site.names import Names
from bench.report.site.suite_part import Picture, SuitePart, claim_anchor
from bench.report.tables.layout import label
from bench.spec.paper import Paper

# By sign too, for those who do not see the colours.
SIGNS: Mapping[str, str] = {"supported": "✓", "refuted": "✗", "undecided": "?", "not run": "–"}
_LISTED = 6


@dataclass(frozen=True)
class Mark:
    """A claim in a card's strip."""

    claim: str
    text: str
    outcome: str
    sign: str
    link: str


@dataclass(frozen=True)
class Card:
    """A paper under a profile; paths are inside the site.

    Attributes
    ----------
    picture
        The main figure: of the suite with the most claims that were tested, the first of equals.
    strip
        The claims that the profile is asked, by verdict.
    facts
        What was run on what, in names and words.
    """

    paper: Paper
    link: str
    profile: str
    about: Markup
    picture: Picture | None
    picture_link: str
    strip: Sequence[Mark]
    counts: Sequence[tuple[str, int]]
    facts: Sequence[tuple[str, str]]


def cards(papers: Iterable[Sequence[SuitePart]], names: Names) -> list[Card]:
    """Return a card a paper and profile, in the order given; those without a picture are last."""
    return sorted((card(own, names) for own in papers), key=lambda each: each.picture is None)


def card(parts: Sequence[SuitePart], names: Names) -> Card:
    """Return the card of a paper's suites under one profile."""
    first = parts[0]
    shown = max((part for part in parts if part.main), key=_tested, default=first)
    page = names.paper(first.track)
    marks = [
        Mark(v.claim.id, v.claim.text, outcome_text(v), SIGNS[v.outcome],
             f"{page}#{claim_anchor(v)}")
        for outcome in OUTCOMES
        for part in parts
        for v in part.verdicts
        if v.outcome == outcome
    ]  # fmt: skip
    counts = Counter(v.outcome for part in parts for v in part.verdicts)
    return Card(
        paper=first.track.plan.paper,
        link=page,
        profile=first.track.plan.profile,
        about=first.profile,
        picture=shown.main,
        picture_link=names.anchor(shown.track),
        strip=marks,
        counts=[(outcome, counts[outcome]) for outcome in OUTCOMES if counts[outcome]],
        facts=_facts(parts),
    )


def _tested(part: SuitePart) -> int:
    return sum(verdict.decision is not None for verdict in part.verdicts)


def _facts(parts: Sequence[SuitePart]) -> list[tuple[str, str]]:
    done, planned = (sum(getattr(p.facts, name) for p in parts) for name in ("done", "planned"))
    last = max((part.facts.last for part in parts if part.facts.last), default="")
    cells = f"{portion(done, planned)} done, in {plural(len(parts), 'suite')}"
    told = [
        ("cells", f"{cells}, the last on {last}" if last else cells),
        ("networks", _values(parts, "backbone")),
        ("data", _values(parts, "dataset")),
        ("methods", _values(parts, "method")),
        ("hardware", _listed(h for part in parts for h in part.facts.hardware)),
    ]
    return [(name, text) for name, text in told if text]


def _values(parts: Iterable[SuitePart], axis: str) -> str:
    """Return the values of an axis in the tables of suites, by their labels."""
    return _listed(
        label(part.track.plan.suite, axis, planned.place[axis])
        for part in parts
        for planned in part.track.plan.shown
        if axis in planned.place
    )


def _listed(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    more = len(known) - _LISTED
    # Labels may have commas of their own.
    return "; ".join(known[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
