"""The claims on a page."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report.claims.verdict import verdicts
from bench.report.page import write_page
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
    assert headings[:2] == ["## At a glance", "## Claims"]
    assert page.index("| in the tables") < page.index("## Claims")


def test_each_claim_is_a_row_with_its_verdict() -> None:
    made = with_claims(EASY, {}, {**EASY, "expect": "less"})
    text = section(made.page().markdown, "Claims")
    rows = tables_of(text)[0]
    assert rows[0] == ["claim", "verdict", "asked", "estimate", "p", "hold", "remark"]
    assert rows[1][0] == "BSS \\| helps. (Table 1) `c0`"
    # Differences 10, 11 and 9 points: t = 10√3, p one-sided 0.0017.
    assert rows[1][1:6] == ["**supported**", "\\> 0", "+10.00 ± 2.48 points", "0.0017", "1/1"]
    assert rows[2][1:6] == [
        "**undecided (partial)**",
        "\\> 0",
        "+0.50 ± 6.35 points",
        "0.25",
        "1/2",
    ]
    assert rows[2][6].startswith("p and estimate of 100%, L2+BSS − L2; about ")
    assert rows[2][6].endswith("would decide: supported")
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
        "**not run**", "\\> 0", "–", "–", "–", "this profile has no such cells",
    ]  # fmt: skip
    assert "comparisons</summary>" not in text


def test_what_verdicts_mean_is_folded_beside_them() -> None:
    text = section(with_claims(EASY).page().markdown, "Claims")
    _, _, folded = text.partition("<details><summary>How to read verdicts</summary>")
    told = folded.partition("</details>")[0]
    for term in ("asked", "estimate", "p", "hold", "supported", "refuted", "undecided"):
        assert f"\n- **{term}**: " in told
    assert "p is at most 2.5%, one-sided" in told
    assert "Holm's correction" in told
    assert "From six seeds on p is the larger of the two" in told
    assert "both err more often than they say" in told
    assert "sequential" not in told


def test_verdicts_given_and_made_give_the_same_bytes() -> None:
    from bench.report.page import build_page

    made = with_claims(EASY, {})
    found = verdicts(made.results)
    given = build_page(made.results, found=found)
    assert given == made.page()
    reversed_ = replace(made, records=dict(reversed(made.records.items())))
    assert reversed_.page() == given


def test_what_each_claim_asks_is_on_the_page_in_words_made_from_the_claim() -> None:
    derived = {"derived_from": "What the table shows.", "number": -1, "matters": 0.5}
    text = section(with_claims({**EASY, **derived}).page().markdown, "Claims")
    assert (
        "- `c0`\n"
        "  - test/top1: L2+BSS − L2. At sampling rate 15%. Supported above −1 point, refuted "
        "below −0.5 points, the smallest difference that matters.\n"
        "  - Refuted by: It does not.\n"
        "  - Derived from: What the table shows.\n"
    ) in text
    assert "BSS \\| helps. (Table 1; derived) `c0`" in text


def test_every_value_that_is_compared_lies_beside_the_page() -> None:
    made = with_claims(EASY, {})
    page = made.page()
    name = f"{page.stem}.claims.csv"
    rows = list(csv.DictReader(io.StringIO(page.files()[name])))
    assert [list(row.values())[:4] for row in rows if row["claim"] == "c1"] == [
        ["c1", "", "15%, L2+BSS − L2", "0"],
        ["c1", "", "15%, L2+BSS − L2", "1"],
        ["c1", "", "15%, L2+BSS − L2", "2"],
        ["c1", "", "100%, L2+BSS − L2", "0"],
        ["c1", "", "100%, L2+BSS − L2", "1"],
    ]
    own = [float(row["value"]) for row in rows if row["claim"] == "c0"]
    assert own == pytest.approx([10.0, 11.0, 9.0])
    assert f"for every reading: [{name}](<{name}>)." in section(page.markdown, "Claims")


def test_what_is_published_is_the_difference_itself_whatever_it_is_held_against() -> None:
    rows = csv.DictReader(io.StringIO(with_claims({**EASY, "number": -3}).page().claims or ""))
    assert [float(row["value"]) for row in rows] == pytest.approx([10.0, 11.0, 9.0])


def test_a_profile_that_is_asked_nothing_has_no_such_file(tmp_path: Path) -> None:
    assert study().page().claims is None
    assert with_claims({"profiles": ["paper"]}).page().claims is None
    asked = with_claims(EASY).page(stem="t")
    write_page(asked, tmp_path)
    assert (tmp_path / "t.claims.csv").exists()
    write_page(study().page(stem="t"), tmp_path)
    assert not (tmp_path / "t.claims.csv").exists()
