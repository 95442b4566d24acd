"""Paired differences, against SciPy's paired t-test and by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bench.report.tables.contrasts import differences
from bench.spec.suite import Contrast, Table

from ..studies import MADE, Study, section, study, tables_of

AXES = {"sampling_rate": [0.15]}


def table(made: Study) -> list[list[str]]:
    return tables_of(section(made.page().markdown, "Paired differences"))[0]


def test_a_difference_is_scipys_paired_interval() -> None:
    made = study({"seed": list(range(6)), **AXES})
    rng = np.random.default_rng(3)
    base = rng.normal(0.7, 0.05, 6)
    treated = base + rng.normal(0.01, 0.004, 6)
    made.record(base, method="l2")
    made.record(treated, method="l2+bss")
    contrast = made.plan.suite.table.contrast
    assert contrast is not None
    (found,) = differences(made.results.table(), contrast, made.plan.suite)
    expected = stats.ttest_rel(100 * treated, 100 * base).confidence_interval()
    assert (found.estimate.low, found.estimate.high) == pytest.approx(tuple(expected))


def test_only_seeds_that_both_have_are_paired() -> None:
    made = study({"seed": [0, 1, 2, 3], **AXES})
    made.record([0.1, 0.2, 0.3, None], method="l2")
    made.record([None, 0.25, 0.35, 0.9], method="l2+bss")
    assert table(made)[1][-1] == "+5.00 (no spread) (2/4)"


@pytest.mark.parametrize(
    ("treated", "text"),
    [
        # Differences 1, 2, 3: half-width 4.302653 × 1 / √3 = 2.484.
        ([0.51, 0.52, 0.53], "+2.00 ± 2.48"),
        # Differences 1.9, 2, 2.1: a tenth of that.
        ([0.519, 0.52, 0.521], "**+2.00** ± 0.25"),
        ([0.52, 0.52, 0.52], "+2.00 (no spread)"),
        ([0.48, 0.48, 0.48], "−2.00 (no spread)"),
        ([0.50, 0.50, 0.50], "0.00 (no spread)"),
        ([0.52, 0.52, None], "+2.00 (no spread) (2/3)"),
        ([0.52, None, None], "+2.00 (1/3)"),
        ([None, None, None], "– (0/3)"),
    ],
)
def test_bold_says_that_the_interval_excludes_zero(treated: list[float | None], text: str) -> None:
    made = study(AXES)
    made.record([0.5] * 3, method="l2")
    made.record(treated, method="l2+bss")
    assert table(made)[1] == ["pets", "l2+bss − l2", text]


def test_a_contrast_may_be_over_any_axis_of_a_row() -> None:
    made = study(
        {"weights": ["random", "timm"], "method": ["l2"], **AXES},
        table=Table(
            rows=("weights",), contrast=Contrast(axis="weights", pairs=(("timm", "random"),))
        ),
        labels={"weights": {"timm": "ImageNet"}},
    )
    made.record([0.5] * 3, weights="random")
    made.record([0.6] * 3, weights="timm")
    assert table(made) == [["weights", "15%"], ["ImageNet − random", "+10.00 (no spread)"]]


def test_a_pair_that_the_plan_lacks_is_left_out() -> None:
    made = study({"method": ["l2", "delta"], **AXES})
    assert "Paired differences" not in made.page().markdown


def test_cells_that_saw_other_images_are_not_called_paired() -> None:
    made = study(AXES)
    for method, subset in (("l2", "1"), ("l2+bss", "2")):
        data = {**MADE.data, "subset": subset * 64}
        made.record([0.5] * 3, method=method, made=dataclasses.replace(MADE, data=data))
    text = section(made.page().markdown, "Paired differences")
    assert "**Not paired**: in 3 places" in text
    same = study(AXES)
    same.record([0.5] * 3, method="l2")
    assert "Not paired" not in same.page().markdown
