"""The figure that a page begins with: which one it is, and that it shows the page's numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.report import answer as module
from bench.report.answer import Answer, answer, asked_range
from bench.report.claims.verdict import verdicts
from bench.report.figures.forest import Panel
from bench.report.page import make_board
from bench.spec.claims import Claim
from bench.spec.figure import Figure
from bench.spec.figure import Panel as CurvePanel
from bench.spec.paper import Reported, ReportedEntry, ReportedTable
from bench.spec.suite import Column, Table

from .studies import PAPER, Study, study

PAIR = {"axis": "method", "pairs": [["l2+bss", "l2"]]}
PLAIN = Table(contrast=None)


def claim(**changes: Any) -> Claim:
    given = {
        "id": "helps", "text": "BSS helps.", "source": "Table 1", "suite": "table1",
        "compare": [PAIR], "expect": "greater", "refuted_by": "It does not.", **changes,
    }  # fmt: skip
    return Claim.model_validate(given)


def filled(*claims: Claim, table: Table | None = None, profile: str = "paper") -> Study:
    paper = PAPER.model_copy(update={"claims": claims})
    made = study(paper=paper, profile=profile, **({} if table is None else {"table": table}))
    made.record([0.50, 0.51, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.53, 0.55, 0.57], method="l2+bss", sampling_rate=0.15)
    made.record([0.70, 0.71, 0.72], method="l2", sampling_rate=1.0)
    made.record([0.70, 0.72, 0.71], method="l2+bss", sampling_rate=1.0)
    return made


def reported(*means: tuple[str, float, float]) -> Reported:
    entries = tuple(
        ReportedEntry(where={"method": method, "sampling_rate": rate}, mean=mean)
        for method, rate, mean in means
    )
    table = ReportedTable(
        suite="table1", metric="test/top1", spread="sd", source="Table 1", entries=entries
    )
    return Reported(tables=(table,))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Panel]:
    """What is drawn."""
    seen: list[Panel] = []

    def note(panels: list[Panel]) -> str:
        seen.extend(panels)
        return "<svg/>"

    monkeypatch.setattr(module, "forest_svg", note)
    return seen


def answered(made: Study, printed: Reported | None = None) -> Answer | None:
    return answer(make_board(made.results, printed), verdicts(made.results), "stem")


def test_a_table_of_differences_is_answered_by_them(drawn: list[Panel]) -> None:
    found = answered(filled(claim()))
    assert found is not None
    assert found.file == "stem.answer.svg"
    (panel,) = drawn
    (group,) = panel.groups
    assert (panel.title, panel.zero, group.title) == ("pets", True, "l2+bss − l2")
    assert panel.axis == "Δ test/top1\npoints, better →"
    first, second = group.lines
    # Differences of 3, 4 and 5 points: 4 ± 4.3027 / √3; then of 0, 1 and −1.
    assert (first.name, first.strong) == ("15%", True)
    assert first.estimate.mean == pytest.approx(4)
    assert first.estimate.half_width == pytest.approx(2.484, abs=1e-3)
    assert (second.name, second.strong) == ("100%", False)
    assert second.estimate.mean == pytest.approx(0)
    assert "over 3 seeds" in found.caption
    assert "Diamond" not in found.caption


def test_the_papers_difference_is_a_mark_where_both_numbers_are_printed(drawn: list[Panel]) -> None:
    printed = reported(("l2", 0.15, 60.5), ("l2+bss", 0.15, 62.0), ("l2", 1.0, 70.0))
    found = answered(filled(), printed)
    assert found is not None
    first, second = drawn[0].lines
    assert first.paper == pytest.approx(1.5)
    assert second.paper is None
    assert "Diamond: by the paper's own numbers." in found.caption


def test_in_another_setting_than_the_papers_its_numbers_are_no_mark(drawn: list[Panel]) -> None:
    printed = reported(("l2", 0.15, 60.5), ("l2+bss", 0.15, 62.0))
    answered(filled(profile="offline"), printed)
    assert [line.paper for line in drawn[0].lines] == [None, None]


def test_without_a_contrast_claims_are_the_answer(drawn: list[Panel]) -> None:
    claims = (
        claim(number=-1),
        claim(id="high", compare=[], where={"method": "l2"}, number=60),
        claim(id="nowhere", where={"dataset": "cub"}),
        claim(id="elsewhere", profiles=["offline"]),
    )
    found = answered(filled(*claims, table=PLAIN), reported(("l2", 0.15, 61), ("l2+bss", 0.15, 60)))
    assert found is not None
    compared, value = drawn
    assert (compared.axis, compared.zero) == ("difference (percentage points)", True)
    assert (value.axis, value.zero) == ("test/top1 (%)", False)
    (group,) = compared.groups
    assert (group.title, group.verdict) == ("helps", "undecided")
    assert group.asked == (-1, float("inf"))
    # At 100% p is the larger: that comparison decides, and is drawn so.
    assert [line.strong for line in group.lines] == [False, True]
    assert [line.paper for line in group.lines] == [pytest.approx(-1), None]
    assert [line.estimate.mean for line in value.groups[0].lines] == pytest.approx([51, 71])
    assert "Not drawn: 1 claim without a test here." in found.caption


def test_where_smaller_is_better_the_arrow_points_there(drawn: list[Panel]) -> None:
    made = filled()
    (shown,) = made.plan.suite.metrics
    answered(made.with_suite(metrics=(shown.model_copy(update={"best": "lowest"}),)))
    assert drawn[0].axis == "Δ test/top1\n← better, points"


def test_of_several_metrics_each_has_a_panel(drawn: list[Panel]) -> None:
    metrics = (Column(metric="test/top1"), Column(metric="test/top5"))
    made = filled(table=Table(contrast=study().plan.suite.table.contrast, metrics=metrics,
                              columns="metric"))  # fmt: skip
    for i, planned in enumerate(made.cells()):
        made.put(planned.cell, {"test/top1": 0.5 + i / 100, "test/top5": 0.9 + i / 1000})
    answered(made)
    assert [panel.axis.partition("\n")[0] for panel in drawn] == ["Δ test/top1", "Δ test/top5"]
    assert [line.name for line in drawn[0].lines] == ["15%, pets", "100%, pets"]


def test_a_plain_table_is_its_own_answer_and_drawn_once() -> None:
    page = filled(table=PLAIN).page(stem="stem")
    assert list(page.figures) == ["stem.svg"]
    assert page.markdown.count("](<stem.svg>)") == 1
    assert page.markdown.index("## At a glance") < page.markdown.index("| in the tables")


def test_a_suites_own_figure_opens_a_page_that_has_no_other_answer() -> None:
    figure = Figure(
        title="Loss", lines="method", panels=(CurvePanel(curve="train/loss", label="loss"),)
    )
    made = filled(table=PLAIN).with_suite(figures=(figure,))
    page = made.page().markdown
    assert "## At a glance" not in page
    assert page.index("## Figures") < page.index("| in the tables")
    assert page.count("## Figures") == 1


def test_without_a_number_there_is_no_picture() -> None:
    empty = study(paper=PAPER.model_copy(update={"claims": (claim(),)}))
    assert answered(empty) is None
    assert empty.page().figures == {}


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"expect": "greater", "number": -1}, (-1, float("inf"))),
        ({"expect": "greater", "by": 0.5}, (0.5, float("inf"))),
        ({"expect": "less", "number": 2, "by": 0.5}, (float("-inf"), 1.5)),
        ({"expect": "equal", "number": 1, "by": 2}, (-1, 3)),
    ],
)
def test_what_is_shaded_is_what_supports(
    changes: dict[str, Any], asked: tuple[float, float]
) -> None:
    assert asked_range(claim(**changes)) == asked


def test_every_seed_that_is_missing_takes_the_filling_away(drawn: list[Panel]) -> None:
    made = filled()
    gone = made.cells(method="l2", sampling_rate=0.15, seed=2)[0].cell.id
    made.record([0.500, 0.510, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.600, 0.611, 0.62], method="l2+bss", sampling_rate=0.15)
    answered(made)
    assert drawn[0].lines[0].strong
    drawn.clear()
    made = replace(made, records={i: r for i, r in made.records.items() if i != gone})
    answered(made)
    assert not drawn[0].lines[0].strong
