"""Valleys: a panel a module, its error where it was measured, and the line of ε."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.records.record import Record
from bench.report.figures.valley import draw_valleys
from bench.report.results import Arrays, Results
from bench.spec.cell import Cell
from bench.spec.figure import Figure
from bench.spec.recipe import Use
from bench.spec.work import Measure

from ..curved import figure
from ..studies import Study, study

SVG = "{http://www.w3.org/2000/svg}"
MODULES = ("conv1", "layer1", "layer2", "layer3", "head")
ALPHAS, SIGMAS = np.linspace(0, 1, 5), np.geomspace(1e-3, 1e1, 5)


def valleys(*modules: str, **changes: Any) -> Figure:
    panels = [{"curve": f"valley/{name}"} for name in modules]
    return figure(kind="valley", panels=panels, **changes)


def measured(epsilon: float | None = 0.4, **changes: Arrays) -> tuple[Study, Results]:
    """Two methods at one rate; the error is 0.8 (1 − α), a little more a seed."""
    made = study({"sampling_rate": [1.0]})
    cells = []
    for planned in made.plan.cells:
        method = planned.place["method"]
        settings = {"epsilon": epsilon, "of": method}
        use = Use(name="criticality", settings=settings, given=settings)
        cells.append(replace(planned, cell=Cell(Measure(use), planned.seed)))
    made.plan = replace(made.plan, cells=tuple(cells))
    for planned in cells:
        made.put(planned.cell, {})

    def arrays(record: Record) -> Mapping[str, Arrays]:
        falls = np.repeat(0.8 * (1 - ALPHAS)[:, None], len(SIGMAS), axis=1)
        errors = {f"valley/{name}": falls + 0.01 * record.cell["seed"] for name in MODULES}
        return {"alphas": ALPHAS, "sigmas": SIGMAS, **errors, **changes}

    return made, replace(made.results, arrays=arrays)


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in ET.fromstring(svg).iter(f"{SVG}text")]


def lines(svg: str) -> list[np.ndarray]:
    """Return the points of what is drawn white and open: the lines of ε of the panels."""
    found = []
    for node in ET.fromstring(svg).iter(f"{SVG}path"):
        style = node.get("style", "")
        if node.get("clip-path") and "fill: none" in style and "stroke: #ffffff" in style:
            pairs = re.findall(r"[ML] (\S+) (\S+)", node.get("d", ""))
            found.append(np.array(pairs, dtype=float))
    return found


def test_modules_stand_side_by_side_and_every_axis_is_named() -> None:
    _, results = measured()
    drawn = draw_valleys(results, valleys(*MODULES))
    assert len(drawn.svgs) == 2, "a picture a method"
    words = texts(drawn.svgs[0])
    assert {*MODULES, "l2", "α", "σ", "mean error (%)", "0", "0.5", "1", "1e-3"} <= set(words)
    # Four in the first row; below the fifth, and below three of the first, α is named.
    assert (words.count("σ"), words.count("α")) == (2, 4)
    assert "n = 3" in drawn.caption
    assert "ε = 40%" in drawn.caption
    assert draw_valleys(results, valleys(*MODULES)) == drawn


def test_columns_are_values_and_rows_are_modules() -> None:
    _, results = measured()
    (svg,) = draw_valleys(results, valleys("conv1", "head", columns="method")).svgs
    words = texts(svg)
    assert [words.count(name) for name in ("l2", "l2+bss", "α")] == [1, 1, 2]
    assert sum("head" in word for word in words) == 1


def test_the_line_of_epsilon_is_where_the_mean_error_is() -> None:
    """0.8 (1 − α) + 0.01, the mean over three seeds, is 0.4 at α = 1 − 0.39 / 0.8."""
    _, results = measured()
    svg = draw_valleys(results, valleys("conv1")).svgs[0]
    (line,) = tall(svg)
    low, high = panel_width(svg)
    assert (line[:, 0] - low) / (high - low) == pytest.approx(1 - 0.39 / 0.8, abs=1e-3)
    # An error of 1% is the lowest of all: nothing lies below it.
    _, results = measured(epsilon=0.01)
    assert tall(draw_valleys(results, valleys("conv1")).svgs[0]) == []


def tall(svg: str) -> list[np.ndarray]:
    """Return the lines that are no mark in the bar of colours."""
    return [line for line in lines(svg) if np.ptp(line[:, 1]) > 10]


def panel_width(svg: str) -> tuple[float, float]:
    """Return the ends of a panel from left to right: its clip path's."""
    clip = next(ET.fromstring(svg).iter(f"{SVG}clipPath"))
    (rectangle,) = clip
    left = float(rectangle.attrib["x"])
    return left, left + float(rectangle.attrib["width"])


def test_without_an_epsilon_there_is_no_line() -> None:
    _, results = measured(epsilon=None)
    drawn = draw_valleys(results, valleys("conv1"))
    assert lines(drawn.svgs[0]) == []
    assert "ε" not in drawn.caption


def test_the_order_of_the_grid_and_noise_of_zero_change_nothing() -> None:
    _, results = measured()
    expected = draw_valleys(results, valleys("conv1"))
    falls = 0.8 * (1 - ALPHAS[::-1, None]) + 0.01 + np.zeros(len(SIGMAS) + 1)
    falls[:, 0] = 7.0
    turned = measured(
        alphas=ALPHAS[::-1], sigmas=np.array([0, *SIGMAS]), **{"valley/conv1": falls}
    )[1]
    assert draw_valleys(turned, valleys("conv1")) == expected


def test_what_is_missing_is_said() -> None:
    made, results = measured()
    made.lose("missing", method="l2", seed=2)
    partial = draw_valleys(replace(results, records=made.records), valleys("conv1"))
    assert "**Partial**, seeds are missing: l2 (2/3)." in partial.caption
    one = draw_valleys(results, valleys("conv1", "stem"))
    assert "Not drawn: 2 panels without these errors." in one.caption
    for changes in (
        {"alphas": ALPHAS[:3]},
        {"sigmas": np.zeros(5)},
        {"valley/conv1": np.zeros(5)},
    ):
        nothing = draw_valleys(measured(**changes)[1], valleys("conv1"))
        assert nothing.svgs == ()
        assert nothing.caption == "No record has these arrays over alphas and sigmas yet."


def test_seeds_on_other_grids_have_no_mean() -> None:
    made, results = measured()

    def uneven(record: Record) -> Mapping[str, Arrays]:
        own = dict(results.arrays(record))
        return own | ({"sigmas": 2 * SIGMAS} if record.cell["seed"] == 1 else {})

    assert draw_valleys(replace(results, arrays=uneven), valleys("conv1")).svgs == ()
    assert made.records
