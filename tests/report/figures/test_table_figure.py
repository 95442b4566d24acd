"""The picture: SVG that says the same for the same numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest

from ..studies import Study, study

SVG = "{http://www.w3.org/2000/svg}"


def filled(**axes: object) -> Study:
    made = study({"dataset": ["pets", "cars"], **axes})  # type: ignore[dict-item]
    for i, planned in enumerate(made.plan.cells):
        made.put(planned.cell, {"test/top1": 0.5 + (i * 7 % 13) / 100})
    return made


def picture(made: Study) -> str:
    return made.page().figures["table1-offline.svg"]


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_panel_row_and_column_is_named() -> None:
    shown = texts(picture(filled()))
    for name in ("pets", "cars", "l2", "l2+bss", "15%", "100%", "sampling rate", "test/top1 (%)"):
        assert name in shown


def test_the_bytes_hold_no_date_and_no_version() -> None:
    svg = picture(filled())
    assert svg == picture(filled())
    for word in ("metadata", "matplotlib.org", "dc:date", "<!--"):
        assert word not in svg


def test_the_background_is_white_on_dark_pages() -> None:
    first = next(ElementTree.fromstring(picture(filled())).iter(f"{SVG}path"))
    assert "fill: #ffffff" in first.get("style", "")


def test_a_pair_shares_its_colour_and_its_base_is_dashed() -> None:
    svg = picture(filled(dataset=["pets"]))
    assert svg.count("#0072b2") > 0
    assert "#d55e00" not in svg
    assert "stroke-dasharray" in svg


def test_labels_are_never_typeset() -> None:
    made = filled(dataset=["pets"]).with_suite(labels={"dataset": {"pets": "$x$ & <y>"}})
    assert "$x$ & <y>" in texts(picture(made))


@pytest.mark.parametrize("values", [[None] * 3, [0.5, None, None], [0.5, math.nan, 0.5]])
def test_few_or_odd_numbers_draw_without_a_warning(values: list[float | None]) -> None:
    made = study({"sampling_rate": [0.15]})
    made.record(values, method="l2")
    assert bool(made.page().figures) == (values[0] is not None)


def test_at_most_twelve_panels_are_drawn_and_the_page_says_so() -> None:
    page = filled(dataset=[f"set{i}" for i in range(14)]).page()
    svg = page.figures["table1-offline.svg"]
    assert "set11" in texts(svg)
    assert "set12" not in texts(svg)
    assert "Only the first 12 of 14 groups are drawn." in page.markdown
