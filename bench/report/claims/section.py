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

HOW_TO_READ = "How to read verdicts"
READING: tuple[tuple[str, str], ...] = (
    ("comparison", "One number a seed: a value, or a difference of values at the same seed, such "
     "as the accuracy of one method less that of another."),
    ("asked", "Where each comparison has to lie, and, where that is another place, what refutes."),
    ("estimate", "The mean of the comparison that decides, ± half the width of its 95% interval "
     "(Student's t over seeds, paired by seed), of the difference itself."),
    ("the comparison that decides", "The one whose p is the claim's: of those that have to hold "
     "the one with the largest p; where a claim is refuted, that with the smallest p against it. "
     "It need not be the smallest difference."),
    ("p", "How likely a result as clear as this would be by chance, were the claim just not true; "
     "where it is refuted, were it just true. It takes the number of a claim's comparisons into "
     "account."),
    ("supported", "p is at most 2.5%, one-sided. A claim about every place is supported only if "
     "each of its comparisons is."),
    ("refuted", "A comparison lies significantly on the refuted side, after Holm's correction: "
     "who asks often must ask more of each answer."),
    ("undecided", "Neither. It is no verdict against a claim."),
    ("hold", "How many of its comparisons pass by themselves."),
    ("two tests", "A verdict needs both Student's t and the exact sign-flip test. From six seeds "
     "on p is the larger of the two, below that t's alone. Where the two disagree, the remark "
     "says so."),
    ("what they assume", "t assumes that differences over seeds are normal, sign flips that they "
     "are symmetric. Where they are skewed, both err more often than they say."),
    ("expected false verdicts", "How many there would be, were every comparison exactly at its "
     "margin, and independent of the others. Nothing is corrected over claims."),
    ("more", "`docs/claims.md`, with the formulas."),
)  # fmt: skip
_SETTLED: tuple[tuple[str, str], ...] = (
    ("p of settled claims", "The sequential p-value: the smallest level at which the looks so far "
     "would have decided. The p of sign flips alone is sequential too."),
    ("intervals of settled claims", "Those of a look, which hold at all looks together; n is a "
     "comparison's own number of seeds."),
    ("tables beside settled claims", "They are of the suite's own seeds alone; the further ones' "
     "numbers are in the CSV named `further`."),
)  # fmt: skip
CLAIM_COLUMNS = ("claim", "verdict", "asked", "estimate", "p", "hold", "remark")
COMPARISON_COLUMNS = (
    "claim", "comparison", "mean", "n", "p", "p (sign flips)", "p against (Holm)",
)  # fmt: skip
_SPENDING = {"pocock": "Pocock-type", "obrien-fleming": "O'Brien-Fleming-type"}
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
        parts += [caption(shown, plan), sequential_note(shown), _table(shown)]
        parts.append(markdown.details(HOW_TO_READ, markdown.terms(reading(shown))))
        parts += [_every_form(shown, plan), _every_comparison(shown)]
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
    """Return how many claims have which verdict, and what a verdict is about."""
    return f"{counted(shown)} {about(plan)}"


def counted(shown: Sequence[Verdict]) -> str:
    """Return how many claims have which verdict, and how many false ones to expect."""
    counts = Counter(verdict.outcome for verdict in shown)
    listed = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name])
    text = f"{plural(len(shown), 'claim')}: {listed}"
    if any(verdict.decision is not None for verdict in shown):
        text += f"; {many.expected_text(many.expected_false(shown))}"
    return f"{text}."


def reading(shown: Sequence[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return what the columns and verdicts mean, term by term."""
    return (*READING, *(_SETTLED if any(v.settled is not None for v in shown) else ()))


def sequential_note(shown: Sequence[Verdict]) -> str:
    """Return how claims were settled; empty where no further seeds were allowed for."""
    looks = next((v.settled.looks for v in shown if v.settled is not None), None)
    if looks is None:
        return ""
    at = ", ".join(map(str, looks.at))
    return (
        "**Settled by a sequential rule** (`bench run --until-decided`): seeds were added where "
        f"claims were open, with looks at {at} seeds that spend {100 * looks.alpha:g}% a claim, "
        f"both sides together ({_SPENDING[looks.spending]} spending, Lan and DeMets 1983)."
    )


def about(plan: Plan) -> str:
    """Return what a claim is, and what the verdicts of a profile are about."""
    text = "A claim is what the paper asserts, tested on the records of this page alone."
    if plan.profile == "paper" or plan.paper.url is None:
        return text
    return (
        f"{text} A verdict is on the claim in this profile's setting, and says nothing of the "
        "paper's own numbers."
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
    lines = []
    for verdict in shown:
        lines.append(f"- {markdown.code(verdict.claim.id)}")
        lines += [f"  - {markdown.escape(each)}" for each in form_sentences(verdict, plan)]
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
