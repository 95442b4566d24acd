"""Our own table: what an entry is made of, what is missing, what is best."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.errors import SpecError
from bench.report.frame import cell_frame
from bench.report.results import arrange, row_axes
from bench.spec.suite import Table

from ..studies import Study, section, study, tables_of

AXES = {"sampling_rate": [0.15]}


def results(made: Study) -> list[list[list[str]]]:
    return tables_of(section(made.page().markdown, "Results"))


def one_column(made: Study) -> dict[str, str]:
    """Method to text, of a table with one dataset and one rate."""
    return {row[-2]: row[-1] for row in results(made)[0][1:]}


def test_an_entry_is_scipys_mean_and_interval_in_percent() -> None:
    made = study()
    rng = np.random.default_rng(0)
    drawn = {}
    for method in ("l2", "l2+bss"):
        for rate in (0.15, 1.0):
            drawn[method, rate] = rng.normal(0.8, 0.02, 3)
            made.record(drawn[method, rate], method=method, sampling_rate=rate)
    for entry in made.results.table():
        x = 100 * drawn[str(entry.where["method"]), float(entry.where["sampling_rate"])]
        low, high = stats.t.interval(0.95, 2, x.mean(), stats.sem(x))
        assert (entry.estimate.low, entry.estimate.high) == pytest.approx((low, high))
        assert (entry.n, entry.expected, entry.partial) == (3, 3, False)


def test_the_table_has_the_papers_shape() -> None:
    made = study({"dataset": ["pets", "cars"]}, labels={"dataset": {"pets": "Pets"}})
    for planned in made.plan.cells:
        made.put(planned.cell, {"test/top1": 0.5})
    (table,) = results(made)
    assert table[0] == ["dataset", "method", "15%", "100%"]
    assert [row[:2] for row in table[1:]] == [
        ["Pets", "l2"], ["", "l2+bss"], ["cars", "l2"], ["", "l2+bss"],
    ]  # fmt: skip


def test_datasets_with_other_columns_get_their_own_table() -> None:
    rates = {"pets": (0.15, 0.3), "cars": (0.15, 0.3), "digits": (0.03, 0.05)}
    made = study(
        {"dataset": list(rates), "sampling_rate": [0.03, 0.05, 0.15, 0.3]},
        only=lambda labels: labels["sampling_rate"] in rates[labels["dataset"]],
    )
    first, second = results(made)[:2]
    assert first[0][2:] == ["15%", "30%"]
    assert second[0][2:] == ["3%", "5%"]
    assert {row[0] for row in first[1:]} == {"pets", "cars", ""}


def test_a_wide_table_is_cut_into_several() -> None:
    made = study({"sampling_rate": [i / 100 for i in range(1, 12)]})
    assert [len(table[0]) - 2 for table in results(made)[:2]] == [8, 3]


def test_an_axis_that_the_table_does_not_name_is_never_averaged_over() -> None:
    made = study({"weights": ["random", "timm"], **AXES})
    made.record([0.5] * 3, method="l2", weights="random")
    made.record([0.7] * 3, method="l2", weights="timm")
    (table, *_) = results(made)
    assert table[0] == ["weights", "dataset", "method", "15%"]
    assert [row[-1] for row in table[1:] if row[2] == "l2"] == [
        "50.00 (no spread)",
        "70.00 (no spread)",
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 0.5, 0.5], "50.00 (no spread)"),
        ([0.5, None, 0.5], "50.00 (no spread) (2/3)"),
        ([None, 0.5, None], "50.00 (1/3)"),
        ([None, None, None], "– (0/3)"),
        ([0.5, math.nan, 0.5], "NaN"),
    ],
)
def test_what_is_missing_shows(values: list[float | None], text: str) -> None:
    made = study(AXES)
    made.record(values, method="l2")
    made.record([0.8, 0.8, 0.9], method="l2+bss")
    assert one_column(made)["l2"] == text


def test_why_seeds_are_missing_is_listed() -> None:
    made = study({"seed": [0, 1, 2, 3, 4], **AXES})
    made.record([0.5] * 5, method="l2")
    made.record([0.6] * 5, method="l2+bss")
    made.lose("stale", ("code: core",), method="l2", seed=1)
    made.lose("failed", method="l2", seed=2)
    made.lose("running", method="l2", seed=3)
    made.lose("missing", method="l2", seed=4)
    page = made.page().markdown
    header, row = tables_of(section(page, "Results"))[1]
    assert header[3:] == ["done", "missing", "running", "stale", "failed"]
    assert row == ["pets", "l2", "15%", "1/5", "1", "1", "1", "1"]
    assert "1 entry lacks seeds" in page
    assert "`code: core` (1 cell)" in page
    assert tables_of(page)[0][1] == ["in the tables", "10", "6", "1", "1", "1", "1"]


def test_a_state_without_its_record_is_not_done() -> None:
    made = study(AXES)
    made.record([0.5] * 3, method="l2")
    gone = made.cells(method="l2", seed=0)[0].cell.id
    made.lose("done", method="l2", seed=0)
    states = cell_frame(made.results).set_index("cell")["state"]
    assert states[gone] == "missing"


def test_cells_that_others_start_from_are_counted_but_not_shown() -> None:
    made = study(AXES)
    stage = made.plan.cells[0]
    behind = replace(stage, place={}, seed=None, name="stage source")
    made.plan = replace(made.plan, cells=(behind, *made.plan.cells[1:]))
    made.put(stage.cell, {"test/top1": 0.99})
    page = made.page()
    assert tables_of(page.markdown)[0][2] == ["that others start from", "1", "1", "", "", "", ""]
    assert "99.00" not in page.markdown
    assert "1 record;" in section(page.markdown, "Provenance")
    assert stage.cell.id not in page.csv


def bold(made: Study) -> set[str]:
    return {name for name, text in one_column(made).items() if text.startswith("**")}


@pytest.mark.parametrize(
    ("means", "best", "expected"),
    [
        ({"a": 0.5, "b": 0.6, "c": 0.4}, "highest", {"b"}),
        ({"a": 0.5, "b": 0.6, "c": 0.4}, "lowest", {"b"}),
        ({"a": 0.60001, "b": 0.60002, "c": 0.4}, "highest", {"a", "b"}),
        ({"a": 0.5}, "highest", set()),
    ],
)
def test_the_best_mean_as_shown_is_bold(
    means: dict[str, float], best: str, expected: set[str]
) -> None:
    metric = "test/top1" if best == "highest" else "test/top1_error"
    made = study({"method": list(means), **AXES}, table=Table(metric=metric))
    for method, mean in means.items():
        made.record([mean] * 3, method=method)
    assert bold(made) == expected


def test_a_partial_or_broken_entry_is_never_best() -> None:
    made = study({"method": ["a", "b", "c", "d"], **AXES}, table=Table())
    made.record([0.9, 0.9, None], method="a")
    made.record([0.9, 0.9, math.nan], method="b")
    made.record([0.5] * 3, method="c")
    made.record([0.4] * 3, method="d")
    assert bold(made) == {"c"}


def test_best_is_by_column_and_group() -> None:
    made = study({"dataset": ["pets", "cars"]}, table=Table())
    for dataset, rate, winner in (
        ("pets", 0.15, "l2"),
        ("pets", 1.0, "l2+bss"),
        ("cars", 0.15, "l2+bss"),
        ("cars", 1.0, "l2"),
    ):
        for method in ("l2", "l2+bss"):
            value = 0.6 if method == winner else 0.5
            made.record([value] * 3, dataset=dataset, sampling_rate=rate, method=method)
    (table,) = results(made)
    assert [[c.startswith("**") for c in row[2:]] for row in table[1:]] == [
        [True, False], [False, True], [False, True], [True, False],
    ]  # fmt: skip


def test_fractions_become_percent_and_other_units_stay() -> None:
    made = study(AXES, table=Table(metric="test/loss", decimals=3))
    for planned in made.cells(method="l2"):
        made.put(planned.cell, {"test/loss": 0.5})
    assert one_column(made)["l2"] == "0.500 (no spread)"


def test_a_table_chosen_on_the_test_split_says_so() -> None:
    chosen = study(AXES, selection=("best-on-test",)).page().markdown
    assert "**Chosen on the test split**" in section(chosen, "Results")
    assert "Chosen on the test split" not in study(AXES).page().markdown


def test_a_metric_that_no_record_has_is_a_users_error() -> None:
    made = study(AXES, table=Table(metric="validation/top1"))
    made.record([0.5] * 3, method="l2")
    with pytest.raises(SpecError, match="no record has the metric 'validation/top1'"):
        made.page()


def test_one_seed_has_no_interval_to_speak_of() -> None:
    made = study({"seed": [0], **AXES})
    made.record([0.5], method="l2")
    text = section(made.page().markdown, "Results")
    assert "n = 1" in text
    assert "±" not in text


def test_seeds_that_differ_between_entries_show_at_each() -> None:
    made = study(AXES, only=lambda where: where["method"] == "l2" or where["seed"] == 0)
    made.record([0.5] * 3, method="l2")
    made.record([0.4], method="l2+bss")
    assert one_column(made) == {"l2": "**50.00** (no spread) (3/3)", "l2+bss": "40.00 (1/1)"}


def test_blocks_keep_the_plans_order() -> None:
    made = study({"dataset": ["z", "a"], "method": ["z", "a"], "sampling_rate": [1.0, 0.5]})
    blocks = arrange(made.results.table(), row_axes(made.plan), "sampling_rate")
    assert [block.key for block in blocks] == [("z",), ("a",)]
    assert blocks[0].rows == ("z", "a")
    assert blocks[0].columns == (1.0, 0.5)
