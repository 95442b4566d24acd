"""The cells as a data frame, and the CSV that is written of it and read again."""

from __future__ import annotations

import math

import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from bench.report.frame import cell_frame, frame_csv, read_frame

from .studies import study

AXES = {"seed": [0, 1], "sampling_rate": [0.15, 1.0]}


def test_a_row_is_a_planned_cell() -> None:
    made = study(AXES)
    made.put(made.cells()[0].cell, {"test/top1": 0.5, "test/loss": 2.0})
    made.put(made.cells()[3].cell, {"test/top1": math.inf})
    frame = cell_frame(made.results)
    axes = list(made.plan.suite.axes)
    assert list(frame.columns) == [*axes, "cell", "state", "test/loss", "test/top1"]
    assert frame["cell"].tolist() == [planned.cell.id for planned in made.cells()]
    assert frame["state"].tolist()[:2] == ["done", "missing"]
    assert frame["sampling_rate"].tolist() == [p.labels["sampling_rate"] for p in made.cells()]
    numbers = frame[["test/loss", "test/top1"]]
    assert {str(kind) for kind in numbers.dtypes} == {"float64"}
    assert numbers.notna().sum().tolist() == [1, 2]


def test_a_plan_without_records_has_no_metrics() -> None:
    frame = cell_frame(study(AXES).results)
    assert list(frame.columns)[-2:] == ["cell", "state"]
    assert set(frame["state"]) == {"missing"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=20))
@example([0.1 + 0.2, 1e16, 5e-324, -0.0, math.nan])
@example([math.nan])
def test_numbers_are_read_as_they_were(values: list[float]) -> None:
    frame = pd.DataFrame({"cell": "x", "state": "done", "test/top1": values})
    text = frame_csv(frame)
    written = ["" if math.isnan(value) else repr(value) for value in values]
    assert text == "cell,state,test/top1\n" + "".join(f"x,done,{each}\n" for each in written)
    again = read_frame(text, "x.csv")
    assert_frame_equal(again, frame, check_exact=True, check_dtype=False)
    assert again["test/top1"].dtype == "float64"


def test_axis_values_are_read_as_text() -> None:
    text = 'rate,method,seed,cell,state,a\n0.30,NA,007,x,done,1\n1,"l2, too",,y,missing,none\n'
    frame = read_frame(text, "x.csv")
    assert frame["rate"].tolist() == ["0.30", "1"]
    assert frame["method"].tolist() == ["NA", "l2, too"]
    assert frame["seed"].tolist() == ["007", ""]
    assert frame["a"].tolist()[0] == 1.0
    assert math.isnan(frame["a"].tolist()[1])
