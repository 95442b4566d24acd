"""Every number in prose about results is one that the published tables give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.prose import LEADERBOARDS, Tables, agrees, unmarked, wrong

DOCS = LEADERBOARDS.parent / "docs"

FAST = Tables("fast")
PAPERS = ("bss", "fast", "modelpatch")


@pytest.mark.parametrize(
    ("number", "value", "agreed"),
    [
        ("13.1", 13.149, True),
        ("13.1", 13.151, False),
        ("13", 13.4999, True),
        ("−0.39", -0.394, True),
        ("+15.8", 15.84, True),
        ("0.39", -0.39, False),
        ("1,665", 1665.0, True),
        ("1e-3", 0.001, True),
        ("70", 65.0, False),
    ],
)
def test_a_number_agrees_with_what_rounds_to_it(number: str, value: float, agreed: bool) -> None:
    assert agrees(number, value) == agreed


def test_a_wrong_number_is_found() -> None:
    right = FAST.mean("initialisation", "test/top1", std=1e-08)
    text = '<!--= mean("initialisation", "test/top1", std=1e-08) -->'
    assert wrong(f"It is {text}{right:.1f}% here.", FAST) == []
    (problem,) = wrong(f"It is {text}{right + 0.2:.1f}% here.", FAST)
    assert f"{right:.4f}" in problem


def test_a_number_without_an_expression_is_found() -> None:
    text = "Section 6.2 (`steps: 5`, [page](../a-1.md)) says 13% of <!--= 1 + 1 -->2, and σ = 1e-8."
    assert unmarked(text.replace("Section", "section")) == ["13", "1e-8"]


def test_a_place_that_is_not_one_is_refused() -> None:
    with pytest.raises(AssertionError, match="more than one place"):
        FAST.mean("initialisation", "test/top1")
    with pytest.raises(AssertionError, match="no row"):
        FAST.mean("initialisation", "test/top1", std=2.0)


def test_counts_are_no_percentages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "patches").mkdir()
    table = "method,seed,test/top1,parameters/trained\nsb,0,0.25,2528.0\nsb,1,0.75,2528.0\n"
    (tmp_path / "patches" / "table1.offline.csv").write_text(table)
    monkeypatch.setattr("tests.e2e.prose.LEADERBOARDS", tmp_path)
    tables = Tables("patches")
    assert tables.mean("table1", "test/top1", method="sb") == 50
    assert tables.mean("table1", "parameters/trained", method="sb") == 2528


@pytest.mark.parametrize("paper", PAPERS)
def test_no_number_on_a_papers_offline_pages_is_without_an_expression(paper: str) -> None:
    assert unmarked((DOCS / f"{paper}-offline.md").read_text(encoding="utf-8")) == []


# A text on pages that are not published yet says what is asked, and no result.
@pytest.mark.parametrize("paper", [p for p in PAPERS if (LEADERBOARDS / p).is_dir()])
def test_the_text_on_a_papers_offline_pages_says_their_numbers(paper: str) -> None:
    text = (DOCS / f"{paper}-offline.md").read_text(encoding="utf-8")
    assert wrong(text, Tables(paper)) == []
    assert text.count("<!--=") > 10
