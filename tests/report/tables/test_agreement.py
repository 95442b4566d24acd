"""One line an entry: the paper's number, ours, the difference, and whether they agree."""

from __future__ import annotations

import pytest
from scipy import stats

from bench.report.page import make_board
from bench.report.tables.agreement import Agreement, agreements
from bench.report.tables.reported import match_reported

from ..studies import Study, section, study, tables_of
from .test_reported import BASE, BSS, PETS, reported

OURS = [0.8100, 0.8110, 0.8120]


@pytest.fixture
def made() -> Study:
    return study({"sampling_rate": [0.15]}, profile="paper")


def one(made: Study, entry: dict, **changes: object) -> Agreement:
    table = reported(entry, **changes)
    board = make_board(made.results, None)
    (found,) = agreements(match_reported(board.entries, table, made.plan.suite))
    return found


def test_each_entry_is_one_line(made: Study) -> None:
    made.record(OURS, method="l2")
    made.record([0.84, 0.841, 0.839], method="l2+bss")
    text = section(made.page(reported(BASE, BSS)).markdown, "Reported numbers")
    assert "<summary>Entry by entry: 1 agrees, 1 differs</summary>" in text
    half = stats.t.ppf(0.95, 2) * 0.1 / 3**0.5
    low, high = f"+{0.05 + half:.2f}", f"−{half - 0.05:.2f}"
    assert tables_of(text)[1][:2] == [
        ["dataset", "method", "sampling rate", "paper", "ours", "Δ \\[90% interval\\]", "verdict"],
        ["pets", "l2", "15%", "81.05 ± 0.18", "81.10 ± 0.25", f"+0.05 \\[{high}, {low}\\]",
         "agrees"],
    ]  # fmt: skip
    assert [row[-1] for row in tables_of(text)[1][1:]] == ["agrees", "differs"]
    assert "taken as exact" in text


def test_few_and_noisy_seeds_are_open(made: Study) -> None:
    made.record([0.80, 0.81, 0.83], method="l2")
    assert one(made, BASE).status == "open"


def test_missing_seeds_and_other_units_have_no_verdict(made: Study) -> None:
    made.record([0.81, None, 0.81], method="l2")
    assert one(made, BASE).status == "partial (2/3)"
    assert one(made, BSS).status == "–"


@pytest.mark.parametrize(
    ("meaning", "sd"),
    [
        ("standard deviation", 0.18),
        ("standard error", 0.18 * 5**0.5),
        ("95% interval", 0.18 * 5**0.5 / 2.7764451),
    ],
)
def test_a_spread_of_known_meaning_is_in_the_test(made: Study, meaning: str, sd: float) -> None:
    made.record(OURS, method="l2")
    found = one(made, BASE, spread_is=meaning).tested
    assert found is not None
    assert found.uses_reported_spread
    low, _ = stats.ttest_ind_from_stats(81.1, 0.1, 3, 81.05 - 1, sd, 5, equal_var=False)
    high, _ = stats.ttest_ind_from_stats(81.1, 0.1, 3, 81.05 + 1, sd, 5, equal_var=False)
    df = (0.01 / 3 + sd**2 / 5) ** 2 / ((0.01 / 3) ** 2 / 2 + (sd**2 / 5) ** 2 / 4)
    assert found.p == pytest.approx(max(stats.t.sf(low, df), stats.t.cdf(high, df)), rel=1e-4)


def test_an_unknown_spread_is_not_used(made: Study) -> None:
    made.record(OURS, method="l2")
    for entry, meaning in ((BASE, None), ({**BASE, "n": None}, "standard deviation")):
        found = one(made, entry, spread_is=meaning).tested
        assert found is not None
        assert not found.uses_reported_spread


def test_a_page_without_numbers_of_ours_has_no_lines(made: Study) -> None:
    assert (
        "Entry by entry" not in made.page(reported({**PETS, "method": "l2", "mean": 51.2})).markdown
    )
