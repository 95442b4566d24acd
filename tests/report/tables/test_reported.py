"""The paper's numbers beside ours: only where they belong, as printed, with the difference."""

from __future__ import annotations

from typing import Any

import pytest

from bench.spec.paper import ReportedEntry, ReportedTable

from ..studies import Study, section, study, tables_of


def reported(*entries: dict[str, Any], **changes: Any) -> ReportedTable:
    given = {
        "suite": "table1",
        "profile": "paper",
        "metric": "test/top1",
        "spread": "not defined",
        "source": "Table 1",
        "entries": tuple(ReportedEntry.model_validate(entry) for entry in entries),
        **changes,
    }
    return ReportedTable.model_validate(given)


PETS = {"dataset": "pets", "sampling_rate": 0.15}
BASE = {**PETS, "method": "l2", "mean": 81.05, "spread": 0.18, "n": 5}
BSS = {**PETS, "method": "l2+bss", "mean": 81.86, "spread": 0.19, "n": 5}


@pytest.fixture
def made() -> Study:
    return study({"sampling_rate": [0.15]}, profile="paper")


def column(made: Study, *given: ReportedTable) -> dict[str, str]:
    text = section(made.page(*given).markdown, "Reported numbers")
    return {row[-2]: row[-1] for row in tables_of(text)[0][1:]}


def test_delta_is_our_mean_less_the_reported_one(made: Study) -> None:
    made.record([0.80, 0.81, 0.82], method="l2")
    made.record([0.8206, 0.8206, 0.8206], method="l2+bss")
    assert column(made, reported(BASE, BSS)) == {
        "l2": "81.05 ± 0.18, Δ −0.05",
        "l2+bss": "**81.86** ± 0.19, Δ +0.20",
    }


def test_what_we_lack_shows_no_delta_or_a_partial_one(made: Study) -> None:
    made.record([0.8205, None, None], method="l2")
    assert column(made, reported(BASE, BSS)) == {
        "l2": "81.05 ± 0.18, Δ +1.00 (1/3)",
        "l2+bss": "**81.86** ± 0.19",
    }


def test_only_what_the_paper_reports_is_listed(made: Study) -> None:
    assert list(column(made, reported(BASE))) == ["l2"]


def test_a_spread_that_was_not_printed_is_not_made_up(made: Study) -> None:
    assert column(made, reported({**PETS, "method": "l2", "mean": 51.2})) == {"l2": "51.2"}


def test_numbers_have_the_decimals_of_their_own_table(made: Study) -> None:
    one, two = {**BASE, "mean": 86.0, "spread": 0.2}, {**BSS, "mean": 86.25, "spread": 0.3}
    assert column(made, reported(one, two)) == {"l2": "86.00 ± 0.20", "l2+bss": "**86.25** ± 0.30"}


def test_a_note_is_numbered_once_and_written_below(made: Study) -> None:
    note = {"note": "printed *twice*"}
    page = made.page(reported({**BASE, **note}, {**BSS, **note})).markdown
    text = section(page, "Reported numbers")
    assert text.count("<sup>1</sup>") == 3
    assert text.count("printed \\*twice\\*") == 1


def test_the_caption_says_what_the_spread_is(made: Study) -> None:
    text = section(made.page(reported(BASE)).markdown, "Reported numbers")
    assert "± as printed; what it means: not defined." in text
    assert "Source: Table 1." in text


@pytest.mark.parametrize(
    "changes",
    [{"suite": "table2"}, {"profile": "tllib"}, {"metric": "test/top5"}, {"unit": "nats"}],
)
def test_numbers_of_another_suite_profile_metric_or_unit_are_not_compared(
    made: Study, changes: dict[str, str]
) -> None:
    assert "Reported numbers" not in made.page(reported(BASE, **changes)).markdown


def test_the_offline_page_says_that_it_is_not_the_papers_setting() -> None:
    page = study(profile="offline").page(reported(BASE)).markdown
    assert "**Not the paper's setting**" in page.split("\n## ")[0]
    assert "81.05" not in page


def test_the_papers_own_setting_is_named(made: Study) -> None:
    page = made.page(reported(BASE)).markdown
    assert "The setting of Table 1, as far as it is known" in page
    assert "Not the paper's setting" not in page


def test_agreement_counts_signs_and_intervals(made: Study) -> None:
    made.record([0.80, 0.81, 0.82], method="l2")  # 81 ± 2.48: 81.05 is above, and inside
    made.record([0.8205, 0.8206, 0.8207], method="l2+bss")  # 82.06 ± 0.02: above, 81.86 is outside
    text = section(made.page(reported(BASE, BSS)).markdown, "Reported numbers")
    assert "above the reported one in 1 of 2 entries" in text
    assert "in our interval in 1 of 2 entries" in text


def test_without_records_nothing_is_claimed(made: Study) -> None:
    text = section(made.page(reported(BASE, BSS)).markdown, "Reported numbers")
    assert "We have no number yet for any of the 2 entries." in text
