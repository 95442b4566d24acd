"""Points of metrics: each place once, at its value, with its mean and interval."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from bench.report.figures.kinds import draw
from bench.report.figures.points import Point, _points, draw_points

from ..curved import figure
from ..studies import Study, study

SVG = "{http://www.w3.org/2000/svg}"
TOP1 = ({"curve": "test/top1", "label": "top-1"},)
BY_RATE = figure(kind="points", points="sampling_rate", panels=TOP1)
BY_SIZE = figure(kind="points", points="sampling_rate", over="features/distance", panels=TOP1)


def measured(**axes: object) -> Study:
    """Top-1 is the rate plus a hundredth of the seed; l2 has size 10, l2+bss 20."""
    made = study({"sampling_rate": [0.1, 0.3, 1.0], **axes})
    for planned in made.plan.cells:
        labels = planned.labels
        size = 10.0 if labels["method"] == "l2" else 20.0
        top1 = 0.5 * float(labels["sampling_rate"]) + 0.01 * float(labels["seed"])
        made.put(planned.cell, {"test/top1": top1, "features/distance": size})
    return made


def points(made: Study, drawn=BY_RATE) -> list[Point]:
    return list(_points(made.results, drawn))


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def markers(svg: str) -> int:
    return len(re.findall(r"<use ", svg.split('id="legend')[0]))


def test_a_point_is_the_mean_over_seeds_at_the_axis_value() -> None:
    found = points(measured())
    assert [(p.where["method"], p.at) for p in found] == [
        (method, rate) for rate in (0.1, 0.3, 1.0) for method in ("l2", "l2+bss")
    ]
    values = 100 * (0.05 + 0.01 * np.arange(3))
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    estimate = found[0].estimates["test/top1"]
    assert (estimate.mean, estimate.half_width) == pytest.approx((values.mean(), half))


def test_over_a_metric_points_stand_at_its_mean() -> None:
    found = points(measured(), BY_SIZE)
    assert {(p.where["method"], p.at) for p in found} == {("l2", 10.0), ("l2+bss", 20.0)}
    assert len(found) == 6


def test_everything_is_named_and_the_bytes_are_stable() -> None:
    made = measured(dataset=["pets", "cars"])
    drawn = draw_points(made.results, BY_RATE)
    assert len(drawn.svgs) == 2
    assert "means over seeds, n = 3; bars: 95% intervals" in drawn.caption
    shown = texts(drawn.svgs[0])
    for name in ("top-1 (%)", "pets", "l2", "l2+bss", "0.1", "0.3", "1"):
        assert name in shown, name
    assert "cars" in texts(drawn.svgs[1])
    assert draw_points(made.results, BY_RATE) == drawn
    columns = draw(made.results, BY_RATE.model_copy(update={"columns": "dataset"}))
    assert len(columns.svgs) == 1
    assert {"pets", "cars"} <= set(texts(columns.svgs[0]))


def test_points_over_a_metric_are_not_joined() -> None:
    made = measured()
    joined, apart = (draw_points(made.results, each).svgs[0] for each in (BY_RATE, BY_SIZE))
    lines = {"#0072B2", "#D55E00"}
    for svg, expected in ((joined, lines), (apart, set())):
        # A line through three points has two segments; an error bar is one.
        paths = re.findall(r'<path d="M[^"L]*L[^"L]*L[^"]*"[^>]*stroke: (#\w+)', svg)
        assert {each.upper() for each in paths} & lines == {each.upper() for each in expected}
    assert "A point for each value of sampling rate." in draw(made.results, BY_SIZE).caption


def test_missing_seeds_are_said_and_a_place_without_any_has_no_point() -> None:
    made = measured()
    made.lose("failed", seed=1, method="l2", sampling_rate=0.1)
    made.lose("missing", method="l2+bss", sampling_rate=1.0)
    assert len(points(made)) == 5
    drawn = draw(made.results, BY_RATE)
    assert "n = 2 to 3" in drawn.caption
    assert "**Partial**, seeds are missing: l2 (2/3)." in drawn.caption
    assert draw(study().results, BY_RATE).caption.endswith("No record has these metrics yet.")
