"""The forest plot: where each estimate stands, and what its axis leaves out."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest

from bench.report.figures.forest import MAX_PANELS, Group, Line, Panel, forest_svg
from bench.stats.intervals import Estimate, mean_interval

SVG = "{http://www.w3.org/2000/svg}"


def estimate(mean: float, half: float | None) -> Estimate:
    ends = (-math.inf, math.inf) if half is None else (mean - half, mean + half)
    return Estimate(mean, *ends, half, 5, 1.0)


def panel(*lines: Line, asked: tuple[float, float] | None = None, zero: bool = True) -> Panel:
    return Panel("", "points", (Group("a − b", lines, "#0072B2", asked=asked),), zero)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_axis_holds_all_means_zero_the_papers_numbers_and_what_is_asked() -> None:
    low, high = panel(Line(estimate(2, 0.5)), Line(estimate(3, 0.5), paper=7)).limits
    assert low < 0 < 7 < high
    low, high = panel(Line(estimate(2, 0.5)), asked=(-4, math.inf)).limits
    assert -5 < low < -4
    low, high = panel(Line(estimate(2, 0.5)), Line(estimate(3, 0.5)), zero=False).limits
    assert 1 < low < 1.5
    assert 3.5 < high < 4


def test_an_interval_far_wider_than_the_means_are_apart_is_cut_and_said() -> None:
    narrow, wide = Line(estimate(1, 0.5)), Line(estimate(0.5, 50))
    assert not panel(narrow).cut
    made = panel(narrow, wide)
    assert made.cut
    # Means and zero are one apart; each end goes on for as much again.
    assert made.limits == pytest.approx((-1.12, 2.12))


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_what_has_no_interval_is_a_mean_alone(values: list[float]) -> None:
    made = panel(Line(mean_interval(values), "x"))
    assert not made.cut
    assert "x" in texts(forest_svg([made]))


def test_one_number_at_zero_has_an_axis() -> None:
    low, high = panel(Line(estimate(0, None))).limits
    assert low < 0 < high


def test_names_titles_and_verdicts_are_text_and_never_typeset() -> None:
    named = Panel("$p$", "$x$", (Group("$g$", (Line(estimate(1, 1), "$l$"),), "#0072B2"),))
    assert {"$p$", "$x$", "$g$", "$l$"} <= set(texts(forest_svg([named])))
    bare = Group("$g$", (Line(estimate(1, 1)),), "#0072B2", verdict="$v$", asked=(0, math.inf))
    assert {"$g$", "$v$"} <= set(texts(forest_svg([Panel("", "x", (bare,))])))


def test_panels_beyond_the_limit_are_not_drawn() -> None:
    panels = [
        Panel(f"p{i}", "x", (Group("", (Line(estimate(i, 1), "l"),), "#0072B2"),))
        for i in range(MAX_PANELS + 2)
    ]
    shown = texts(forest_svg(panels))
    assert f"p{MAX_PANELS - 1}" in shown
    assert f"p{MAX_PANELS}" not in shown


def test_the_same_numbers_give_the_same_bytes() -> None:
    made = [panel(Line(estimate(1, 2), "x", strong=True, paper=0.5), asked=(0, math.inf))]
    assert forest_svg(made) == forest_svg(made)
