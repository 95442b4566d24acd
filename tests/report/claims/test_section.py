"""The claims on a page."""

from __future__ import annotations

from dataclasses import replace

from bench.report.claims.verdict import verdicts
from bench.spec.claims import Claim

from ..studies import PAPER, Study, section, study, tables_of

PAIR = {"axis": "method", "pairs": [["l2+bss", "l2"]]}


def with_claims(*fields: dict[str, object], profile: str = "offline") -> Study:
    given = {
        "text": "BSS | helps.", "source": "Table 1", "suite": "table1",
        "compare": [PAIR], "expect": "greater", "refuted_by": "It does not.",
    }  # fmt: skip
    claims = tuple(
        Claim.model_validate({**given, "id": f"c{i}", **each}) for i, each in enumerate(fields)
    )
    made = study(profile=profile, labels={"method": {"l2": "L2", "l2+bss": "L2+BSS"}})
    made.record([0.50, 0.51, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.60, 0.62, 0.61], method="l2+bss", sampling_rate=0.15)
    made.record([0.70, 0.70, 0.70], method="l2", sampling_rate=1.0)
    made.record([0.70, 0.71, None], method="l2+bss", sampling_rate=1.0)
    paper = PAPER.model_copy(update={"claims": claims})
    return replace(made, plan=replace(made.plan, paper=paper))


EASY = {"where": {"sampling_rate": 0.15}}


def test_a_page_without_claims_has_no_such_section() -> None:
    assert "## Claims" not in study().page().markdown


def test_claims_come_before_every_number() -> None:
    page = with_claims(EASY).page().markdown
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Claims"
    assert page.index("| in the tables") < page.index("## Claims")


def test_each_claim_is_a_row_with_its_verdict() -> None:
    made = with_claims(EASY, {}, {**EASY, "expect": "less"})
    text = section(made.page().markdown, "Claims")
    rows = tables_of(text)[0]
    assert rows[0] == ["claim", "verdict", "estimate", "p", "hold", "remark"]
    assert rows[1][0] == "BSS \\| helps. (Table 1) `c0`"
    # Differences 10, 11 and 9 points: t = 10√3, p one-sided 0.0017.
    assert rows[1][1:5] == ["**supported**", "+10.00 ± 2.48 points", "0.0017", "1/1"]
    assert rows[2][1:5] == ["**undecided (partial)**", "+0.50 ± 6.35 points", "0.25", "1/2"]
    assert "weakest: 100%, L2+BSS − L2" in rows[2][5]
    assert rows[3][1] == "**refuted**"
    assert "3 claims: 1 supported, 1 refuted, 1 undecided; " in text
    # 5% of one comparison each, and of two 2.5% and 2.5%².
    assert "; expected false verdicts, if all were null: 0.1. " in text


def test_every_comparison_is_folded_with_its_exact_p() -> None:
    text = section(with_claims(EASY).page().markdown, "Claims")
    assert "<details><summary>1 comparison</summary>" in text
    assert tables_of(text)[1][1] == [
        "`c0`", "L2+BSS − L2", "+10.00 ± 2.48", "3/3", "0.0017", "0.12", "1",
    ]  # fmt: skip


def test_what_is_asked_elsewhere_is_named_and_not_counted() -> None:
    made = with_claims(EASY, {"profiles": ["paper"]})
    text = section(made.page().markdown, "Claims")
    assert "1 claim: 1 supported; expected false" in text
    assert "\nAsked in another profile only: `c1`.\n" in text
    assert "says nothing of the paper's own numbers" in text


def test_in_the_papers_own_setting_nothing_is_disclaimed() -> None:
    text = section(with_claims(EASY, profile="paper").page().markdown, "Claims")
    assert "own numbers" not in text


def test_a_claim_that_is_not_run_says_why() -> None:
    text = section(with_claims({"where": {"dataset": "cub"}}).page().markdown, "Claims")
    assert tables_of(text)[0][1][1:] == [
        "**not run**", "–", "–", "–", "this profile has no such cells",
    ]  # fmt: skip
    assert "<details>" not in text


def test_verdicts_given_and_made_give_the_same_bytes() -> None:
    from bench.report.page import build_page

    made = with_claims(EASY, {})
    found = verdicts(made.results)
    given = build_page(made.results, found=found)
    assert given == made.page()
    reversed_ = replace(made, records=dict(reversed(made.records.items())))
    assert reversed_.page() == given
