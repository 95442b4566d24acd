"""A page's first section: what its records say of the paper's claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.report import markdown
from bench.report.claims import many, text
from bench.report.claims.compared import comparisons_csv
from bench.report.claims.form import asked_text, form_sentences, reading_name
from bench.report.claims.verdict import OUTCOMES, Verdict
from bench.report.numbers import plural, portion
from bench.spec.plan import Plan

_CAPTION = (
    "Asked: where each comparison has to lie, and, where that is another place, what refutes. The "
    "estimate is that of the comparison that decides, the one whose p is the claim's: of those "
    "that have to hold the one with the largest p, where a claim is refuted that with the smallest "
    "p against it; which need not be the smallest difference. Its interval is the 95% one "
    "(Student's t over seeds, paired by seed), of the difference itself. p takes the number of a "
    "claim's comparisons into account, and is for the claim, or against it where it is refuted. "
    "Supported: p at most 2.5%, one-sided; a claim about every place is supported only if each of "
    "its comparisons is, and refuted by one that lies significantly on the refuted side (Holm's "
    "correction). Hold: how many of its comparisons pass by themselves. Nothing is corrected over "
    "claims. Undecided is no verdict against a claim."
)
CLAIM_COLUMNS = ("claim", "verdict", "asked", "estimate", "p", "hold", "remark")
COMPARISON_COLUMNS = (
    "claim", "comparison", "mean", "n", "p", "p (sign flips)", "p against (Holm)",
)  # fmt: skip
_SPENDING = {"pocock": "Pocock-type", "obrien-fleming": "O'Brien-Fleming-type"}
_ASSUMED = (
    "A verdict needs both Student's t and the exact sign-flip test: from six seeds on p is the "
    "larger of the two, below that t's alone. t assumes that differences over seeds are normal, "
    "sign flips that they are symmetric; where they are skewed, both err more often than they say. "
    "Where the two disagree, the remark says so. Expected false verdicts: were every comparison "
    "exactly at its margin, and independent of the others."
)
VALUES = "Each comparison's value at each seed, for every reading:"
EACH = (
    "p: one-sided, for the claim, of this comparison alone, and by flipping signs alone, which is "
    "2⁻ⁿ at best: from six seeds on p is never below it."
)


def claims_section(found: Sequence[Verdict], plan: Plan, csv: str) -> str:
    """Return the verdicts with their estimates; empty without any.

    What each claim asks, and every comparison, is folded. ``csv`` is the file of the values.
    """
    if not found:
        return ""
    shown, elsewhere = by_profile(found, plan)
    parts = ["## Claims"]
    if shown:
        parts += [caption(shown, plan), sequential_note(shown)]
        parts += [_table(shown), _every_form(shown, plan), _every_comparison(shown)]
        parts.append(f"{VALUES} {markdown.link(csv, csv)}.")
    if elsewhere:
        ids = ", ".join(markdown.code(verdict.claim.id) for verdict in elsewhere)
        parts.append(f"Asked in another profile only: {ids}.")
    return "\n\n".join(part for part in parts if part)


def by_profile(found: Sequence[Verdict], plan: Plan) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts on claims that the plan's profile is asked, and the others."""
    here = [not v.claim.profiles or plan.profile in v.claim.profiles for v in found]
    shown = [verdict for verdict, asked in zip(found, here, strict=True) if asked]
    return shown, [verdict for verdict, asked in zip(found, here, strict=True) if not asked]


def claims_csv(found: Sequence[Verdict], plan: Plan) -> str | None:
    """Return what claims compare, seed by seed and for every reading; None without any claim."""
    shown, _ = by_profile(found, plan)
    if not shown:
        return None
    return comparisons_csv(
        [
            (each.claim.id, reading_name(each.claim.at), each.compared)
            for verdict in shown
            for each in (verdict, *verdict.readings)
        ]
    )


def caption(shown: Sequence[Verdict], plan: Plan) -> str:
    """Return how many claims have which verdict, and what the columns mean."""
    return f"{counted(shown)} {explained(plan)}"


def counted(shown: Sequence[Verdict]) -> str:
    """Return how many claims have which verdict, and how many false ones to expect."""
    counts = Counter(verdict.outcome for verdict in shown)
    listed = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
    text = f"{plural(len(shown), 'claim')}: {listed}"
    if any(verdict.decision is not None for verdict in shown):
        text += f"; {many.expected_text(many.expected_false(shown))}"
    return f"{text}."


def explained(plan: Plan) -> str:
    """Return what verdicts of a profile are about, and what the columns mean."""
    return f"{_about(plan)}{_CAPTION} {_ASSUMED}"


def sequential_note(shown: Sequence[Verdict]) -> str:
    """Return how claims were settled; empty where no further seeds were allowed for."""
    looks = next((v.settled.looks for v in shown if v.settled is not None), None)
    if looks is None:
        return ""
    at = ", ".join(map(str, looks.at))
    return (
        "**Settled by a sequential rule** (`bench run --until-decided`): seeds were added where "
        f"claims were open, with looks at {at} seeds that spend {100 * looks.alpha:g}% a claim, "
        f"both sides together ({_SPENDING[looks.spending]} spending, Lan and DeMets 1983). "
        "So p is the sequential p-value, the smallest level at which the looks so far would have "
        "decided; the intervals are those of a look, which hold at all looks together; n is a "
        "comparison's own number of seeds; and the p of sign flips alone is sequential too. The "
        "tables below are of the suite's own seeds alone; the further ones' numbers are in the CSV "
        "named `further`."
    )


def _about(plan: Plan) -> str:
    if plan.profile == "paper" or plan.paper.url is None:
        return ""
    return (
        "A verdict is on the claim in this profile's setting, and says nothing of the paper's "
        "own numbers. "
    )


def _table(shown: Sequence[Verdict]) -> str:
    rows = [
        [
            f"{markdown.escape(v.claim.text)} ({markdown.escape(text.source_text(v.claim))}) "
            f"{markdown.code(v.claim.id)}",
            f"**{text.outcome_text(v)}**",
            markdown.escape(asked_text(v.claim)),
            markdown.escape(text.estimate_text(v)),
            markdown.escape(text.p_text(v.p)),
            text.holding_text(v),
            markdown.escape(text.remark(v)),
        ]
        for v in shown
    ]
    return _left_ended(CLAIM_COLUMNS, rows, left=2)


def _every_form(shown: Sequence[Verdict], plan: Plan) -> str:
    lines = [
        f"- {markdown.code(verdict.claim.id)}: "
        + " ".join(markdown.escape(sentence) for sentence in form_sentences(verdict, plan))
        for verdict in shown
    ]
    return markdown.details("What each claim asks of the records", "\n".join(lines))


def _every_comparison(shown: Sequence[Verdict]) -> str:
    rows = []
    for verdict in shown:
        if verdict.decision is None:
            continue
        tested = zip(verdict.compared, verdict.estimates, verdict.decision.tests, strict=True)
        for compared, estimate, test in tested:
            rows.append(
                [
                    markdown.code(verdict.claim.id),
                    markdown.escape(compared.name),
                    text.compared_text(verdict, estimate),
                    portion(compared.n, compared.expected),
                    markdown.escape(text.p_text(test.p_support)),
                    markdown.escape(text.p_text(test.sign_flip)),
                    markdown.escape(text.p_text(test.adjusted_refute)),
                ]
            )
    if not rows:
        return ""
    table = markdown.table(COMPARISON_COLUMNS, rows, left=2)
    return markdown.details(plural(len(rows), "comparison"), f"{EACH}\n\n{table}")


def _left_ended(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Return a table whose last column is text too."""
    lines = markdown.table(header, rows, left=left).splitlines()
    cells = lines[1].rstrip("|").split("|")
    cells[-1] = ":" + cells[-1].strip(":") + "-"
    lines[1] = "|".join(cells) + "|"
    return "\n".join(lines)
