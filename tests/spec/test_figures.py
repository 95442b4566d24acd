"""Figures and tables of several metrics: what a suite may say of them, and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.errors import SpecError
from bench.spec.schema import suite_schema

from .conftest import SUITE

BASE = (
    SUITE.lstrip()
    .replace("  steps: 10\n", "  steps: 10\n  validation: 0.1\n  anytime: {gap: 5}\n")
    .replace("axes:\n", "axes:\n  recipe.head_init.normal.std: [1, 1e-3]\n")
)
FIGURE = """
figures:
  - title: Target above, the head's norm below
    source: Figure 3
    lines: recipe.head_init.normal.std
    symbol: σ
    columns: dataset
    panels:
      - {curve: anytime/test/top1, label: target}
      - {curve: head/norm, scale: log}
    where: {method: [l2], sampling_rate: 0.3}
"""
TABLE = """
table:
  rows: [dataset, method]
  columns: metric
  metrics:
    - {metric: test/top1_error, label: top-1 error}
    - {metric: features/distance, decimals: 1}
"""
Load = Callable[..., Any]


def test_a_figure_is_read_as_written(plan: Load) -> None:
    (figure,) = plan(BASE + FIGURE).suite.figures
    assert figure.selection() == {"method": ("l2",), "sampling_rate": (0.3,)}
    assert [panel.curve for panel in figure.panels] == ["anytime/test/top1", "head/norm"]
    assert (figure.steps, figure.seeds, figure.symbol) == ("log", None, "σ")
    assert figure.selects({"method": "l2", "sampling_rate": 0.3, "dataset": "glyphs"})
    assert not figure.selects({"method": "plain", "sampling_rate": 0.3})


def test_a_profiles_figures_replace_the_suites(plan: Load) -> None:
    own = "{title: Mine, panels: [{curve: train/loss}]}"
    for said, titles in ((f"figures: [{own}]", ["Mine"]), ("figures: []", []), ("title: T", None)):
        text = BASE.replace("offline: {}", f"offline:\n    {said}") + FIGURE
        found = [figure.title for figure in plan(text).suite.figures]
        assert found == (["Target above, the head's norm below"] if titles is None else titles)


def test_a_value_of_another_profile_may_be_selected(plan: Load) -> None:
    text = BASE.replace("offline: {}", "offline: {}\n  big: {axes: {dataset: [digits, fractals]}}")
    assert plan(text + FIGURE.replace("method: [l2]", "dataset: fractals")).suite.figures


def test_a_table_of_metrics_is_read_as_written(plan: Load) -> None:
    # Unit and better side are declared by what measures a metric.
    assert [
        (m.metric, m.label, m.unit, m.best, m.decimals) for m in plan(BASE + TABLE).suite.metrics
    ] == [
        ("test/top1_error", "top-1 error", "%", "lowest", 2),
        ("features/distance", None, "", "lowest", 1),
    ]


def test_a_table_of_one_metric_is_its_own_measure(plan: Load) -> None:
    (shown,) = plan(BASE + "table: {metric: test/top5, decimals: 1}\n").suite.metrics
    assert (shown.metric, shown.unit, shown.best, shown.decimals) == (
        "test/top5", "%", "highest", 1,
    )  # fmt: skip


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return BASE + text.replace(old, new)


POINTS = """
figures:
  - title: Accuracy by rate
    kind: points
    points: sampling_rate
    over: parameters/trained
    lines: method
    panels: [{curve: test/top1}]
"""


def test_points_are_of_metrics_over_an_axis_or_a_metric(plan: Load) -> None:
    (figure,) = plan(BASE + POINTS).suite.figures
    assert (figure.points, figure.over) == ("sampling_rate", "parameters/trained")
    alone = POINTS.replace("    over: parameters/trained\n", "")
    assert plan(BASE + alone).suite.figures[0].over is None


TRADE_OFF = """
figures:
  - title: Loss over accuracy
    kind: trade-off
    over: validation/top1
    lines: method
    panels: [{curve: head/norm}]
"""


def test_a_trade_off_is_of_curves(plan: Load) -> None:
    (figure,) = plan(BASE + TRADE_OFF).suite.figures
    assert (figure.over, figure.panels[0].curve) == ("validation/top1", "head/norm")


HEATMAP = """
figures:
  - title: Similar units
    kind: heatmap
    panels: [{curve: cka, limits: [0, 1], down: first, across: second}]
"""
REGION = """
figures:
  - title: On the line
    region: [0, 1]
    panels: [{curve: train/loss}]
"""


def test_maps_have_limits_and_curves_a_region(plan: Load) -> None:
    (panel,) = plan(BASE + HEATMAP).suite.figures[0].panels
    assert (panel.limits, panel.down, panel.across) == ((0.0, 1.0), "first", "second")
    assert plan(BASE + REGION).suite.figures[0].region == (0.0, 1.0)


@pytest.mark.parametrize("kind", ["heatmap", "images", "valley"])
def test_arrays_may_stand_in_columns_by_method_and_need_no_lines(plan: Load, kind: str) -> None:
    text = f"\nfigures: [{{title: Maps, kind: {kind}, columns: method, panels: [{{curve: a}}]}}]\n"
    (figure,) = plan(BASE + text).suite.figures
    assert (figure.columns, figure.line_axis) == ("method", None)


CASES = {
    "limits of what is no map": (
        changed(HEATMAP, "heatmap", "valley"),
        "title: Similar",
        r"figures.0: limits, down and across are settings of a heatmap's panels",
    ),
    "limits the wrong way round": (
        changed(HEATMAP, "[0, 1]", "[1, 0]"),
        "{curve: cka",
        r"figures.0.panels.0: limits are \[low, high\] with low < high, not \[1.0, 0.0\]",
    ),
    "limits without a logarithm": (
        changed(HEATMAP, "limits", "scale: log, limits"),
        "{curve: cka",
        r"figures.0.panels.0: limits of a logarithmic scale are above 0",
    ),
    "a region of no curves": (
        changed(REGION, "region", "kind: images\n    region"),
        "title: On",
        r"figures.0: only curves have a region",
    ),
    "a region of one point": (
        changed(REGION, "[0, 1]", "[1, 1]"),
        "title: On",
        r"figures.0: a region is \[low, high\] with low < high",
    ),
    "a trade-off over what is no curve": (
        changed(TRADE_OFF, "validation/top1", "parameters/trained"),
        "over:",
        r"figures.0.over: 'parameters/trained' is not a curve",
    ),
    "a trade-off of what is no curve": (
        changed(TRADE_OFF, "head/norm", "parameters/trained"),
        "parameters/trained",
        r"figures.0.panels.0.curve: 'parameters/trained' is not a curve",
    ),
    "a trade-off over nothing": (
        changed(TRADE_OFF, "    over: validation/top1\n", ""),
        "title: Loss",
        r"figures.0: `kind: trade-off` needs the curve that its panels stand over",
    ),
    "points that are no metric": (
        changed(POINTS, "test/top1", "head/norms"),
        "head/norms",
        r"figures.0.panels.0.curve: 'head/norms' is not a metric",
    ),
    "points over what is no metric": (
        changed(POINTS, "parameters/trained", "parameters/train"),
        "over:",
        r"figures.0.over: 'parameters/train' is not a metric\n.*'parameters/trained'",
    ),
    "points of what is no axis": (
        changed(POINTS, "points: sampling_rate", "points: rates"),
        "points: rates",
        r"figures.0.points: 'rates' is not an axis",
    ),
    "points of the lines' axis": (
        changed(POINTS, "points: sampling_rate", "points: method"),
        "points: method",
        r"figures.0.points: points are of another axis than lines and columns",
    ),
    "points over words": (
        changed(POINTS, "points: sampling_rate\n    over: parameters/trained", "points: dataset"),
        "points: dataset",
        r"figures.0.points: 'glyphs' is no number.*\n.*over",
    ),
    "points of nothing": (
        changed(POINTS, "    points: sampling_rate\n", ""),
        "title: Accuracy",
        r"`kind: points` and an axis of `points` need each other",
    ),
    "curves over a metric": (
        changed(POINTS, "    kind: points\n    points: sampling_rate\n", ""),
        "title: Accuracy",
        r"only points stand over a metric",
    ),
    "a curve that is none": (
        changed(FIGURE, "anytime/test/top1", "anytime/test/top11"),
        "top11",
        r"figures.0.panels.0.curve: 'anytime/test/top11' is not a curve\n.*'anytime/test/top1'\?",
    ),
    "a metric is no curve": (
        changed(FIGURE, "head/norm", "warmup/steps"),
        "warmup/steps",
        r"figures.0.panels.1.curve: 'warmup/steps' is not a curve",
    ),
    "lines by what is no axis": (
        changed(FIGURE, "recipe.head_init.normal.std", "recipe.head_init.normal.sdt"),
        "sdt",
        r"figures.0.lines: '.*sdt' is not an axis\n.*did you mean '.*std'\?",
    ),
    "columns by what is no axis": (
        changed(FIGURE, "columns: dataset", "columns: datasets"),
        "datasets",
        r"figures.0.columns: 'datasets' is not an axis\n.*did you mean 'dataset'\?",
    ),
    "lines and columns by one axis": (
        changed(FIGURE, "columns: dataset", "columns: recipe.head_init.normal.std"),
        "columns:",
        r"figures.0.columns: lines and columns are different axes",
    ),
    "lines by the seed": (
        changed(FIGURE, "lines: recipe.head_init.normal.std", "lines: seed"),
        "lines: seed",
        r"figures.0.lines: a figure is not arranged by the seed\n.*`seeds: 1` draws one seed",
    ),
    "a selection of what is no axis": (
        changed(FIGURE, "{method: [l2]", "{mehtod: [l2]"),
        "mehtod",
        r"figures.0.where: 'mehtod' is not an axis\n.*did you mean 'method'\?",
    ),
    "a selection of a value that is none": (
        changed(FIGURE, "[l2]", "[l2, plane]"),
        "plane",
        r"figures.0.where.method: 'plane' is not a value .* profile\n.*did you mean 'plain'\?",
    ),
    "a selection of a rate that is none": (
        changed(FIGURE, "sampling_rate: 0.3", "sampling_rate: 0.33"),
        "0.33",
        r"figures.0.where.sampling_rate: 0.33 is not a value",
    ),
    "an unknown key": (
        changed(FIGURE, "symbol:", "symbl:"),
        "symbl:",
        r"figures.0.symbl: unknown key\n.*did you mean 'symbol'\?",
    ),
    "an unknown key of a panel": (
        changed(FIGURE, "scale: log", "sclae: log"),
        "sclae",
        r"figures.0.panels.1.sclae: unknown key\n.*did you mean 'scale'\?",
    ),
    "a scale that is none": (
        changed(FIGURE, "scale: log", "scale: loglog"),
        "loglog",
        r"figures.0.panels.1.scale: .*'linear' or 'log'.*loglog",
    ),
    "no panel": (
        BASE + "figures: [{title: Empty, panels: []}]\n",
        "figures:",
        r"figures.0.panels: .*at least 1",
    ),
    "no seed": (
        changed(FIGURE, "symbol: σ", "seeds: 0"),
        "seeds: 0",
        r"figures.0.seeds: .*greater than 0",
    ),
    "a curve that the recipe does not follow": (
        changed(FIGURE, "anytime/test/top1", "anytime/source/top1"),
        "anytime/source/top1",
        r"panels.0.curve: anytime/source/top1 is never measured: the recipe does not score the "
        r"source\n.*set recipe.forgetting",
    ),
    "a curve without anytime": (
        (BASE + FIGURE).replace("  anytime: {gap: 5}\n", ""),
        "anytime/test/top1",
        r"anytime/test/top1 is never measured: .*\n.*set recipe.anytime",
    ),
    "a penalty that no method drawn has": (
        changed(FIGURE.replace("[l2]", "[plain]"), "head/norm", "penalty/l2"),
        "penalty/l2",
        r"penalty/l2 is never measured: the method has no such penalty",
    ),
    "a curve that some of the cells drawn lack": (
        changed(FIGURE, "head/norm", "anytime/test/top5")
        + "when: [{dataset: digits, recipe: {anytime: null}}]\n",
        "anytime/test/top1,",
        r"anytime/test/top1 is never measured: .*\n.*set recipe.anytime",
    ),
    "metrics without their columns": (
        changed(TABLE, "columns: metric\n", "columns: sampling_rate\n"),
        "table:",
        r"table: `columns: metric` and a list of `metrics` need each other",
    ),
    "columns without their metrics": (
        BASE + "table: {rows: [method], columns: metric}\n",
        "table:",
        r"table: `columns: metric` and a list of `metrics` need each other",
    ),
    "decimals for all metrics": (
        changed(TABLE, "columns: metric", "columns: metric\n  decimals: 1"),
        "table:",
        r"table: with `metrics`, each of them has its own decimals",
    ),
    "a unit, which the metric declares": (
        changed(TABLE, "columns: metric", 'columns: metric\n  unit: "%"'),
        "unit:",
        r"table.unit: unknown key\n",
    ),
    "a better side, which the metric declares": (
        changed(TABLE, "decimals: 1", "best: lowest"),
        "best:",
        r"table.metrics.1.best: unknown key\n.*one of: metric, at, label, decimals",
    ),
    "a unit of a curve": (
        changed(FIGURE, "scale: log", 'unit: "%"'),
        "unit:",
        r"figures.0.panels.1.unit: unknown key\n.*one of: curve, label, scale",
    ),
    "a metric twice": (
        changed(TABLE, "features/distance", "test/top1_error"),
        "table:",
        r"table: a metric stands there twice",
    ),
    "a metric among several that is none": (
        changed(TABLE, "features/distance", "feature/distance"),
        "feature/distance",
        r"table.metrics.1.metric: 'feature/distance' is not a metric\n.*'features/distance'\?",
    ),
    "a metric among several that is never measured": (
        changed(TABLE, "features/distance", "source/top1"),
        "source/top1",
        r"table.metrics.1.metric: source/top1 is never measured: .*\n.*set recipe.forgetting",
    ),
    "a warm-up that no method has": (
        changed(TABLE, "features/distance", "warmup/drop"),
        "warmup/drop",
        r"warmup/drop is never measured: the method has no warm-up",
    ),
    "an axis named metric": (
        BASE.replace("axes:\n", "axes:\n  metric: [a, b]\n")
        + "when: [{metric: a, recipe: {steps: 3}}]\n"
        + TABLE.lstrip(),
        "metric: [a, b]",
        r"axes.metric: is a table's word for its metrics",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_wrong_figure_or_table_gets_one_message(plan: Load, kind: str) -> None:
    text, fragment, pattern = CASES[kind]
    with pytest.raises(SpecError, match=pattern) as caught:
        plan(text)
    expected = next(i for i, line in enumerate(text.splitlines(), 1) if fragment in line)
    assert caught.value.line in (expected, expected + 1), str(caught.value)


def test_a_curve_of_the_cells_drawn_is_enough(plan: Load) -> None:
    lacks = "when: [{method: plain, recipe: {anytime: null}}]\n"
    assert plan(BASE + FIGURE.replace("head/norm", "penalty/l2") + lacks)


def test_a_warm_up_of_one_method_is_enough(plan: Load) -> None:
    text = BASE.replace("plain: {}", "plain: {warmup: {patience: 3}}")
    assert plan(text + TABLE.replace("features/distance", "warmup/drop"))


def test_the_schema_knows_figures_and_metrics() -> None:
    definitions = suite_schema()["$defs"]
    panel = {"across", "curve", "down", "label", "limits", "scale"}
    assert panel == set(definitions["Panel"]["properties"])
    assert "metrics" in definitions["Table"]["properties"]
    assert "figures" in definitions["Profile"]["properties"]
