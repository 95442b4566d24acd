"""Tables with a column for each metric: each has its own unit, decimals and best."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from bench.errors import SpecError
from bench.report.values import metric_value
from bench.spec.paper import ReportedEntry, ReportedTable
from bench.spec.suite import Contrast, Table

from ..studies import Study, section, study, tables_of

ERROR, DISTANCE = "test/top1_error", "features/distance"
TABLE = Table.model_validate(
    {
        "rows": ["dataset", "method"],
        "columns": "metric",
        "metrics": [
            {"metric": ERROR, "label": "top-1 error"},
            {"metric": DISTANCE, "label": "distance", "decimals": 1},
            {"metric": "test/top5"},
        ],
        "contrast": Contrast(axis="method", pairs=(("fast", "baseline"),)),
    }
)


@pytest.fixture
def made() -> Study:
    made = study(
        {"sampling_rate": [1.0], "method": ["baseline", "fast"]}, table=TABLE, profile="paper"
    )
    give(made, "baseline", [0.80, 0.81, 0.82], [30.0, 31.0, 32.0])
    give(made, "fast", [0.83, 0.84, 0.85], [7.0, 7.0, 7.0])
    return made


def give(made: Study, method: str, top1: list[float], distance: list[float]) -> None:
    for planned, accuracy, moved in zip(made.cells(method=method), top1, distance, strict=True):
        metrics = {"test/top1": accuracy, "test/top5": 0.95, DISTANCE: moved}
        made.put(planned.cell, metrics)


def reported(metric: str, unit: str, *means: float, **changes: Any) -> ReportedTable:
    entries = tuple(
        ReportedEntry(where={"method": name}, mean=mean, spread=0.5)
        for name, mean in zip(("baseline", "fast"), means, strict=True)
    )
    given = {"spread": "not defined", "source": "Table 1", "profile": "paper", **changes}
    return ReportedTable(suite="table1", metric=metric, unit=unit, entries=entries, **given)


def test_each_column_is_a_metric_in_its_own_unit(made: Study) -> None:
    shown = tables_of(section(made.page().markdown, "Results"))[0]
    assert shown == [
        ["dataset", "method", "top-1 error (%)", "distance", "test/top5 (%)"],
        # Errors 20, 19, 18 and distances 30, 31, 32: half-width 4.302653 × 1 / √3 = 2.484.
        ["pets", "baseline", "19.00 ± 2.48", "31.0 ± 2.5", "**95.00** (no spread)"],
        ["", "fast", "**16.00** ± 2.48", "**7.0** (no spread)", "**95.00** (no spread)"],
    ]


def test_the_caption_says_what_is_best_of_which(made: Study) -> None:
    text = section(made.page().markdown, "Results")
    assert "Bold: the best mean of a column" in text
    assert "- **top-1 error**: `test/top1_error`, in %; best is the lowest" in text
    assert "- **distance**: `features/distance`; best is the lowest" in text
    assert "- **test/top5**: `test/top5`, in %; best is the highest" in text


def test_differences_are_in_each_columns_unit(made: Study) -> None:
    text = section(made.page().markdown, "Paired differences")
    assert "Paired by seed, in each column's unit (percentage points for %): at" in text
    row = tables_of(text)[0][1]
    assert row == [
        "pets",
        "fast − baseline",
        "−3.00 (no spread)",
        "**−24.0** ± 2.5",
        "0.00 (no spread)",
    ]


def test_reported_tables_of_one_source_are_one_table(made: Study) -> None:
    distance = reported(DISTANCE, "", 34.5, 7.0)
    error = reported(ERROR, "%", 16.8, 12.63)
    text = section(made.page(distance, error).markdown, "Reported numbers")
    assert text.count("Source: Table 1.") == 1
    assert tables_of(text)[0] == [
        ["dataset", "method", "top-1 error (%)", "distance"],
        ["pets", "baseline", "16.80 ± 0.50, Δ +2.20", "34.5 ± 0.5, Δ −3.5"],
        ["", "fast", "**12.63** ± 0.50, Δ +3.37", "**7.0** ± 0.5, Δ 0.0"],
    ]
    assert "Our mean top-1 error is above the reported one in 2 of 2 entries; " in text
    assert "Our mean distance is above the reported one in 0 of 2 entries; " in text


def test_a_reported_number_in_another_unit_is_not_compared(made: Study) -> None:
    page = made.page(reported(DISTANCE, "%", 34.58, 7.19))
    assert "Reported numbers" not in page.markdown


def test_two_sources_are_two_tables(made: Study) -> None:
    page = made.page(
        reported(ERROR, "%", 16.8, 12.63), reported(ERROR, "%", 17.0, 13.0, source="A replication")
    )
    assert page.markdown.count("## Reported numbers") == 2


def test_without_records_nothing_is_claimed() -> None:
    made = study({"method": ["baseline", "fast"]}, table=TABLE, profile="paper")
    text = section(made.page(reported(ERROR, "%", 16.8, 12.63)).markdown, "Reported numbers")
    assert "We have no number yet" in text


def test_missing_seeds_are_listed_once_a_cell(made: Study) -> None:
    made.lose("failed", method="fast", seed=0)
    text = section(made.page().markdown, "Results")
    assert "1 entry lacks seeds" in text
    assert tables_of(text)[1][1][:3] == ["pets", "fast", "2/3"]
    assert "15.50 ± 6.35 (2/3)" in text


def test_a_metric_that_some_cells_do_not_measure_is_blank_there(made: Study) -> None:
    shown = made.plan.suite.metrics[0]
    metrics = (shown, shown.model_copy(update={"metric": "warmup/steps"}))
    made = made.with_suite(metrics=metrics)
    for planned in made.cells(method="fast"):
        made.put(planned.cell, {"test/top1": 0.8, "warmup/steps": 0.5})
    text = section(made.page().markdown, "Results")
    assert [row[-1] for row in tables_of(text)[0][1:]] == ["", "50.00 (no spread)"]
    assert "- **blank**: Not measured there." in text


def test_lines_from_metric_to_metric_are_not_drawn(made: Study) -> None:
    assert list(made.page().figures) == ["table1-paper.answer.svg"]


def test_an_error_is_one_less_and_is_in_the_csv_only_where_wanted(made: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(made.page().csv)))
    assert float(rows[0][ERROR]) == 1 - 0.80
    single = study({"sampling_rate": [1.0]})
    single.record([0.5] * 3, method="l2")
    assert ERROR not in single.page().csv


def test_a_metric_is_recorded_derived_or_absent() -> None:
    assert metric_value({"test/top1": 0.75}, ERROR) == 0.25
    assert metric_value({"test/top1": 0.75, ERROR: 0.5}, ERROR) == 0.5
    assert metric_value({"test/top1": 0.75}, "test/top5_error") is None


def test_one_error_alone_makes_a_table_too() -> None:
    table = Table(metric=ERROR)
    made = study({"sampling_rate": [1.0]}, table=table)
    made.record([0.8] * 3, method="l2")
    made.record([0.9] * 3, method="l2+bss")
    rows = tables_of(section(made.page().markdown, "Results"))[0]
    assert [row[-1] for row in rows[1:]] == ["20.00 (no spread)", "**10.00** (no spread)"]


def test_a_metric_that_no_record_has_is_named(made: Study) -> None:
    for planned in made.cells():
        made.put(planned.cell, {"test/top1": 0.5, DISTANCE: 1.0})
    with pytest.raises(SpecError, match=r"no record has the metric 'test/top5'"):
        made.page()


def test_entries_know_their_metric(made: Study) -> None:
    entries = made.results.table()
    assert [entry.where["metric"] for entry in entries[:3]] == [ERROR, DISTANCE, "test/top5"]
    assert entries[1].values == {0: 30.0, 1: 31.0, 2: 32.0}
