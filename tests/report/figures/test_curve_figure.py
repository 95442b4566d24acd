"""Pictures of curves: everything is named, order and steps can be read, the bytes are stable."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure as Canvas

from bench.report.figures.curve_figure import line_label
from bench.report.figures.pictures import COLUMNS
from bench.report.figures.scales import scale_points, step_ticks

from ..curved import STD, STEPS, curved, figure, follow
from ..studies import Study

SVG = "{http://www.w3.org/2000/svg}"
TARGET = {"curve": "anytime/test/top1", "label": "target"}
NORM = {"curve": "head/norm", "label": "‖W‖", "scale": "log"}
GREYS = ("#d0d7de", "#8c959f", "#57606a")
DEVIATIONS = [10.0**-k for k in range(9)]


def svgs(made: Study) -> list[str]:
    return [svg for name, svg in made.page().figures.items() if ".answer." not in name]


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lines(svg: str) -> list[str]:
    """Return the paths drawn as curves: open, coloured, clipped to a panel."""
    return [
        node.get("d", "")
        for node in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if node.get("clip-path") and "fill: none" in node.get("style", "")
        and "#d0d7de" not in node.get("style", "")
    ]  # fmt: skip


def two_panels() -> Study:
    made = curved({"dataset": ["pets", "cars"]}, figure(columns="dataset", panels=[TARGET, NORM]))
    follow(made, lambda labels, step: step / 20)
    follow(made, lambda labels, step: 1.0 + step + labels["seed"], curve="head/norm")
    return made


def test_every_panel_column_and_line_is_named() -> None:
    (svg,) = svgs(two_panels())
    shown = texts(svg)
    for name in ("target (%)", "‖W‖", "pets", "cars", "l2", "l2+bss", "step", "0", "1", "10"):
        assert name in shown, name


def test_a_line_has_a_point_for_each_step_and_a_band() -> None:
    (svg,) = svgs(two_panels())
    assert [len(re.findall(r"[ML]", path)) for path in lines(svg)] == [len(STEPS)] * 8
    assert svg.count("fill-opacity: 0.15") == 8


def test_steps_are_logarithmic_with_a_place_for_zero() -> None:
    (svg,) = svgs(two_panels())
    x = [float(v) for v in re.findall(r"[ML] (\S+) ", lines(svg)[0])]
    assert len(x) == len(STEPS)
    # Steps 1, 2 and 8 are 3 and 1 octaves apart … and 0 stands left of 1.
    at = dict(zip(STEPS, x, strict=True))
    assert at[0] < at[1]
    assert (at[8] - at[1]) / (at[2] - at[1]) == pytest.approx(3, rel=1e-3)


def test_linear_steps_are_even() -> None:
    made = curved({"method": ["l2"]}, figure(steps="linear"))
    follow(made, lambda labels, step: (step % 3) / 3)
    x = [float(v) for v in re.findall(r"[ML] (\S+) ", lines(svgs(made)[0])[0])]
    assert (x[-1] - x[0]) / (x[1] - x[0]) == pytest.approx(13, rel=1e-3)


# A line through two networks: 0 is one, 1 the other.
LINE = [i / 10 - 1 for i in range(31)]


def on_a_line(**changes: Any) -> Study:
    made = curved({"method": ["l2"], "seed": [0, 1]}, figure(**changes))
    follow(
        made,
        lambda labels, at: 0.5 - 0.1 * abs(at - 0.5) + 0.01 * labels["seed"],
        steps=lambda labels: LINE,
        axis="lambda",
    )
    return made


def test_a_line_through_networks_is_even_below_zero_and_between_whole_numbers() -> None:
    (svg,) = svgs(on_a_line())
    x = [float(v) for v in re.findall(r"[ML] (\S+) ", lines(svg)[0])]
    assert len(x) == len(LINE)
    gaps = [right - left for left, right in pairwise(x)]
    assert gaps == pytest.approx([gaps[0]] * 30, rel=1e-3)
    assert gaps[0] > 0
    shown = texts(svg)
    assert [text for text in shown if text in ("−1", "0", "1", "2", "λ")] == [
        "−1", "0", "1", "2", "λ",
    ]  # fmt: skip


def test_a_logarithm_has_no_place_below_zero() -> None:
    asked = on_a_line(steps="log")
    assert svgs(asked) == svgs(on_a_line())
    assert "logarithmic" not in asked.page().markdown


def test_a_region_is_marked_where_its_ends_are() -> None:
    made = on_a_line(region=[0, 1])
    (svg,) = svgs(made)
    *ends, curve = lines(svg)
    x = [float(v) for v in re.findall(r"[ML] (\S+) ", curve)]
    at = [float(re.findall(r"[ML] (\S+) ", end)[0]) for end in ends]
    assert at == pytest.approx([x[10], x[20]], abs=1e-3)
    assert "Marked: λ from 0 to 1." in made.page().markdown
    assert "of each point by itself" in made.page().markdown


def test_what_counts_has_whole_ticks() -> None:
    made = curved({"method": ["l2"], "seed": [0]}, figure())
    follow(made, lambda labels, at: at / 9, steps=lambda _: [1, 2, 3], axis="module")
    (svg,) = svgs(made)
    ticks = texts(svg)[: texts(svg).index("module")]
    assert ticks == ["1", "2", "3"]


@pytest.mark.parametrize("value", [1e-17, -1e-17, -0.0])
def test_a_tick_at_zero_is_zero(value: float) -> None:
    axes = Canvas().subplots()
    axes.set_xlim(-1, 2)
    scale_points(axes, "linear", whole=False)
    assert axes.xaxis.get_major_formatter()(value) == "0"


def test_many_numbers_are_coloured_in_their_order() -> None:
    made = curved({STD: DEVIATIONS, "method": ["l2"]}, figure(lines=STD, symbol="σ"))
    follow(made, lambda labels, step: step / 20)
    (svg,) = svgs(made)
    assert [text for text in texts(svg) if text.startswith("σ")] == [
        "σ = 1", "σ = 0.1", "σ = 0.01", "σ = 1e-3", "σ = 1e-4",
        "σ = 1e-5", "σ = 1e-6", "σ = 1e-7", "σ = 1e-8",
    ]  # fmt: skip
    # Viridis begins at #440154; the smallest value, the last line, has it.
    strokes = [c for c in re.findall(r"stroke: (#\w{6})", svg) if c not in GREYS]
    assert strokes[len(DEVIATIONS) - 1] == "#440154"
    assert "#fde725" not in svg, "its yellow end is lost on white"


def test_few_numbers_have_colours_that_are_told_apart() -> None:
    made = curved({STD: DEVIATIONS[:3], "method": ["l2"]}, figure(lines=STD))
    follow(made, lambda labels, step: step / 20)
    (svg,) = svgs(made)
    assert all(colour in svg for colour in ("#0072b2", "#d55e00", "#009e73"))
    assert "std = 0.01" in texts(svg)


def test_more_lines_than_colours_differ_in_their_dashes() -> None:
    made = curved({"method": [f"m{i}" for i in range(9)]}, figure())
    follow(made, lambda labels, step: step / 20)
    assert "stroke-dasharray" in svgs(made)[0]


def test_the_suites_label_wins_over_a_symbol() -> None:
    made = curved({STD: DEVIATIONS[:2]}, figure(lines=STD, symbol="σ"))
    made = made.with_suite(labels={STD: {"0.1": "a tenth"}})
    (drawn,) = made.plan.suite.figures
    assert line_label(drawn, made.plan.suite, 0.1) == "a tenth"
    assert line_label(drawn, made.plan.suite, 1.0) == "σ = 1"


def test_an_axis_left_out_makes_pictures_and_is_never_averaged() -> None:
    made = curved({"dataset": ["pets", "cars"], "sampling_rate": [0.15, 1.0]}, figure())
    follow(made, lambda labels, step: 0.5)
    titles = [[t for t in texts(svg) if "pets" in t or "cars" in t] for svg in svgs(made)]
    assert titles == [["pets, 15%"], ["pets, 100%"], ["cars, 15%"], ["cars, 100%"]]
    assert [len(lines(svg)) for svg in svgs(made)] == [2] * 4


def test_more_columns_than_fit_are_continued() -> None:
    names = [f"set{i}" for i in range(COLUMNS + 2)]
    made = curved({"dataset": names}, figure(columns="dataset"))
    follow(made, lambda labels, step: 0.5)
    found = [[t for t in texts(svg) if t.startswith("set")] for svg in svgs(made)]
    assert found == [names[:COLUMNS], names[COLUMNS:]]


def test_a_partial_line_says_so_in_the_legend() -> None:
    made = two_panels()
    made.lose("failed", method="l2", dataset="pets", seed=1)
    assert {"l2 (partial)", "l2+bss"} <= set(texts(svgs(made)[0]))


def test_single_seeds_are_lines_without_bands() -> None:
    made = curved({"method": ["l2"]}, figure(seeds=2))
    follow(made, lambda labels, step: (1 + labels["seed"]) / 4)
    (svg,) = svgs(made)
    assert len(lines(svg)) == 2
    heights = {re.findall(r"[ML] \S+ (\S+)", path)[0] for path in lines(svg)}
    assert len(heights) == 2


def test_a_logarithmic_axis_has_no_place_for_zero() -> None:
    made = curved({"method": ["l2"]}, figure(panels=[NORM]))
    follow(made, lambda labels, step: float(step * (1 + labels["seed"])), curve="head/norm")
    (svg,) = svgs(made)
    assert len(re.findall(r"[ML]", lines(svg)[0])) == len(STEPS) - 1


def test_an_interval_wider_than_the_unit_does_not_stretch_the_axis() -> None:
    made = curved({"method": ["l2"], "seed": [0, 1]}, figure())
    follow(made, lambda labels, step: 0.2 + 0.6 * labels["seed"])
    shown = [float(t.replace("−", "-")) for t in texts(svgs(made)[0]) if re.fullmatch(r"−?\d+", t)]
    assert min(shown) >= 0
    assert max(shown) <= 100


def test_a_long_curve_keeps_its_one_drop() -> None:
    made = curved({"method": ["l2"]}, figure(steps="linear", seeds=1))
    follow(made, lambda labels, step: 0.1 if step == 4321 else 0.8, steps=lambda _: range(9000))
    (path,) = lines(svgs(made)[0])
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]
    assert len(heights) <= 400
    assert max(heights) - min(heights) > 100


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 987, [0, 1, 10, 100]),
        (0, 13, [0, 1, 2, 5, 10]),
        (20, 1000, [20, 50, 100, 200, 500, 1000]),
        (0, 0, [0]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    assert step_ticks(low, high) == ticks


def test_the_bytes_hold_no_date_and_depend_on_the_numbers_alone() -> None:
    made = two_panels()
    first = svgs(made)
    made.records = dict(reversed(made.records.items()))
    assert svgs(made) == first
    for word in ("metadata", "matplotlib.org", "dc:date", "<!--"):
        assert word not in first[0]


def test_another_process_draws_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "from tests.report.figures.test_curve_figure import *; print(svgs(two_panels())[0], end='')"
    )
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=Path(__file__).parents[3],
        env={"PYTHONHASHSEED": "12345", "PATH": "", "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert made.stdout.decode() == svgs(two_panels())[0]
