"""Claims at equal new accuracy, and by a budget: what is said where nothing can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.records.record import Curve
from bench.report.claims import text
from bench.report.claims.compared import comparisons_csv
from bench.report.claims.form import asked_text, form_text
from bench.report.claims.further import Further
from bench.report.claims.verdict import Verdict, evaluate
from bench.report.claims.verdict_json import verdict_json
from bench.report.results import Results
from bench.spec.claims import Claim
from bench.spec.suite import Column, Table
from bench.stats.sequential.looks import Looks

from ..studies import Study, section, study, tables_of

SEEDS = list(range(6))
AT = {"curve": "validation/top1", "reaches": 50}
COLUMNS = (Column(metric="test/top1"), Column(metric="anytime/source/top1", at=AT))


def claim(**fields: object) -> Claim:
    given: dict[str, object] = {
        "id": "keeps", "text": "It keeps more.", "source": "s", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}], "expect": "greater",
        "metric": "anytime/source/top1", "at": AT, "readings": [{"step": "end"}],
        "refuted_by": "It does not.",
    }  # fmt: skip
    return Claim.model_validate({**given, **fields})


def made(**axes: object) -> Study:
    """New accuracy goes from 0 to 1 in ten steps; old falls by a tenth, or by 0.3 with L2.

    Read at 50% both have lost half of that, to which a seed adds thousandths.
    """
    columns = Table(rows=("method",), columns="metric", metrics=COLUMNS)
    found = study({"seed": SEEDS, "sampling_rate": [1.0], **axes}, table=columns)
    for planned in found.plan.cells:
        follow(found, planned, best=1.0)
    return found


def follow(made: Study, planned: object, best: float) -> None:
    labels, seed = planned.labels, planned.labels["seed"]  # type: ignore[attr-defined]
    lost = 0.1 if labels["method"] == "l2+bss" else 0.3
    noise = 0.001 * seed**2 if labels["method"] == "l2" else 0.0
    curves = {
        "validation/top1": Curve((0, 10), (0.0, best)),
        "anytime/source/top1": Curve((0, 10), (1.0 + noise, 1.0 - lost + noise)),
    }
    made.put(planned.cell, {"test/top1": 0.5}, curves=curves)  # type: ignore[attr-defined]


def ask(study: Study, further: Further | None = None, **fields: object) -> Verdict:
    return evaluate(claim(**fields), study.results, further)


def stunted(seed: int = 2) -> Study:
    """A seed of BSS that never reaches 50%."""
    found = made()
    (planned,) = found.cells(method="l2+bss", seed=seed)
    follow(found, planned, best=0.4)
    return found


def test_seeds_are_paired_at_equal_new_accuracy() -> None:
    found = ask(made())
    gains = 100 * ((1 - 0.05) - (1 - 0.15 + 0.001 * np.square(SEEDS)))
    assert list(found.compared[0].values.values()) == pytest.approx(gains)
    assert found.outcome == "supported"
    expected = stats.ttest_1samp(gains, 0, alternative="greater").pvalue
    assert found.decision is not None
    assert found.decision.tests[0].t == pytest.approx(expected)
    plan = made().plan
    assert form_text(found, plan).startswith(
        "anytime/source/top1 where validation/top1 first reaches 50: l2+bss − l2."
    )


def test_a_claim_is_not_decided_by_the_seeds_that_got_there() -> None:
    found = ask(stunted())
    assert (found.outcome, found.decision, found.p) == ("undecided", None, None)
    assert text.remark(found) == (
        "undefined (validation/top1 50) at 1/6 seeds of l2+bss − l2: at seed 2 l2+bss never "
        "reaches it; depends on the reading: undecided by validation/top1 50, supported by end"
    )
    assert (text.estimate_text(found), text.holding_text(found)) == ("–", "–")
    (told,) = verdict_json(found)["comparisons"]
    assert (told["n"], told["expected"]) == (5, 6)
    assert told["undefined"] == {"2": "l2+bss never reaches it"}


def test_another_reading_that_is_undefined_does_not_count_as_the_same() -> None:
    found = ask(stunted(), at={"step": "end"}, readings=[AT])
    assert (found.outcome, found.robust) == ("supported", False)
    assert "depends on the reading: supported by end, undecided by validation" in text.remark(found)


def test_the_csv_has_an_empty_value_where_it_is_undefined() -> None:
    found = ask(stunted())
    rows = comparisons_csv([("keeps", "validation/top1 50", found.compared)]).splitlines()
    assert len(rows) == 1 + 6
    assert [row for row in rows if row.endswith(",")] == ["keeps,validation/top1 50,l2+bss − l2,2,"]


@pytest.mark.parametrize("seed", [2, 5])
def test_further_seeds_do_not_hide_one_that_never_got_there(seed: int) -> None:
    # The suite's own seeds are the first three: one of them, or a further one.
    more = stunted(seed)
    own = [p for p in more.plan.cells if p.seed in (0, 1, 2)]
    first = Results(replace(more.plan, cells=tuple(own)), more.records, more.states)
    further = Further(more.results, Looks((3, 6)))
    found = evaluate(claim(), first, further)
    assert (found.outcome, found.settled) == ("undecided", None)
    assert f"at seed {seed} l2+bss never reaches it" in found.reason


def test_a_table_has_no_mean_over_the_seeds_that_got_there() -> None:
    page = stunted().page().markdown
    assert row_of(page) == ["l2+bss", "**50.00** (no spread)", "– (undefined at 1/6)"]
    assert "A mean over the other seeds would be one over those that got there" in page
    assert "lacks seeds" not in page
    assert row_of(made().page().markdown)[2] == "**95.00** (no spread)"


def row_of(page: str) -> list[str]:
    (row,) = [row for row in tables_of(section(page, "Results"))[0] if row[0] == "l2+bss"]
    return row


def test_the_csv_of_cells_has_a_column_of_what_is_read() -> None:
    header, *rows = stunted().page().csv.splitlines()
    assert header.split(",")[-1] == "anytime/source/top1 at validation/top1 50"
    values = [row.split(",")[-1] for row in rows if ",l2+bss," in row]
    assert values[2] == ""
    assert [float(v) for v in values if v] == pytest.approx([0.95] * 5)


def planned(gradients: dict[str, int], taken: dict[str, float]) -> Study:
    """Cells of ten steps with gradients by method: planned, and as their records have them."""
    found = study({"seed": SEEDS, "sampling_rate": [1.0]})
    for cell in found.plan.cells:
        method = str(cell.labels["method"])
        top1 = 0.5 + 0.01 * (method == "l2+bss") * (1 + cell.labels["seed"] / 10)
        counted = {"train/gradients": taken[method]} if method in taken else {}
        found.put(cell.cell, {"test/top1": top1, **counted})
    ids = {p.cell.id: gradients[str(p.labels["method"])] for p in found.plan.cells}
    return Study(replace(found.plan, gradients=ids), found.records, found.states)


def by(budget: str) -> dict[str, object]:
    return {"metric": "test/top1", "at": None, "readings": [], "budget": budget}


def test_the_budget_stands_with_the_claim() -> None:
    both = {"l2": 20, "l2+bss": 20}
    found = planned(both, {"l2": 20.0, "l2+bss": 20.0})
    verdict = ask(found, **by("gradients"))
    assert verdict.outcome == "supported"
    assert asked_text(verdict.claim) == "> 0, at equal gradients"
    form = form_text(verdict, found.plan)
    assert "At equal gradients on both sides: 20 a training (10 steps)." in form
    assert "at equal gradients" in found_page(found, "gradients")
    assert verdict_json(verdict)["budget"] == "gradients"


def test_by_steps_the_gradients_of_both_sides_are_told() -> None:
    found = planned({"l2": 10, "l2+bss": 20}, {})
    verdict = ask(found, **by("steps"))
    assert verdict.outcome == "supported"
    form = form_text(verdict, found.plan)
    assert "At equal steps on both sides: 10 a training (10 to 20 gradients)." in form


@pytest.mark.parametrize(
    ("taken", "told"),
    [({"l2": 20.0, "l2+bss": 40.0}, "has 40 gradients recorded, and 20 are planned"),
     ({"l2": 20.0}, "has no number of gradients recorded, and 20 are planned")],
)  # fmt: skip
def test_records_that_took_others_than_planned_are_no_verdict(
    taken: dict[str, float], told: str
) -> None:
    found = ask(planned({"l2": 20, "l2+bss": 20}, taken), **by("gradients"))
    assert (found.outcome, found.decision) == ("not run", None)
    assert "method l2+bss" in text.remark(found)
    assert told in text.remark(found)


def found_page(study: Study, budget: str) -> str:
    paper = study.plan.paper.model_copy(update={"claims": (claim(**by(budget)),)})
    return Study(replace(study.plan, paper=paper), study.records, study.states).page().markdown
