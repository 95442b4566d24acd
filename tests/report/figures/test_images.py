"""Strips of images: each in its column and row, its pixels unchanged, the same bytes again."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.records.record import Record
from bench.report.figures.images import draw_images
from bench.report.figures.png import png, stored_images
from bench.report.results import Arrays, Results

from ..curved import figure
from ..studies import Study, study

SVG = "{http://www.w3.org/2000/svg}"
STRIP = figure(kind="images", columns="sampling_rate", panels=({"curve": "images"},))
COUNT, SIDE = 3, 4


def drawn_of(record: Record) -> np.ndarray:
    """Return a cell's images: noise by its axis values and seed."""
    made = np.random.default_rng([*record.id.encode()])
    return np.rint(255 * made.uniform(size=(COUNT, 3, SIDE, SIDE))) / 255


def shown(**changes: Any) -> tuple[Study, Results]:
    made = study()
    for planned in made.plan.cells:
        made.put(planned.cell, {"test/top1": 0.5})

    def arrays(record: Record) -> Mapping[str, Arrays]:
        return {"images": drawn_of(record).astype(np.float32)} | changes

    return made, replace(made.results, arrays=arrays)


def pictures(svg: str) -> list[tuple[float, float, np.ndarray]]:
    """Return where each image of a strip is, and its pixels."""
    found = []
    for node in ET.fromstring(svg).iter(f"{SVG}image"):
        content = node.attrib["{http://www.w3.org/1999/xlink}href"].partition("base64,")[2]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        found.append((float(node.attrib["x"]), float(node.attrib["y"]), pixels))
    return found


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (200, 150, 3)])
def test_a_png_is_read_as_it_was_written(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(png(pixels)))
    image.load()
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_column_a_value_a_row_an_example() -> None:
    made, results = shown()
    drawn = draw_images(results, STRIP)
    assert len(drawn.svgs) == 2, "a picture a method"
    found = pictures(drawn.svgs[0])
    first = [made.cells(method="l2", sampling_rate=rate, seed=0)[0] for rate in (0.15, 1.0)]
    expected = [drawn_of(results.records[planned.cell.id]) for planned in first]
    columns = sorted({x for x, _, _ in found})
    rows = sorted({y for _, y, _ in found})
    assert (len(columns), len(rows), len(found)) == (2, COUNT, 2 * COUNT)
    for x, y, pixels in found:
        wanted = 255 * expected[columns.index(x)][rows.index(y)].transpose(1, 2, 0)
        np.testing.assert_array_equal(pixels, np.rint(wanted).astype(np.uint8))
    root = ET.fromstring(drawn.svgs[0])
    words = {t.text: float(t.attrib["x"]) for t in root.iter(f"{SVG}text")}
    assert list(words) == ["l2", "15%", "100%"]
    assert words["15%"] < words["100%"]
    assert drawn.caption == "A row an example, as seed 0 saw it; a column a value of sampling rate."
    assert draw_images(results, STRIP) == drawn


def test_the_first_seed_that_there_is_is_shown_and_said() -> None:
    made, _ = shown()
    made.lose("missing", seed=0)
    _, results = shown()
    drawn = draw_images(replace(results, records=made.records), STRIP)
    assert "as seed 1 saw it" in drawn.caption


def test_grey_and_large_images_are_shown_and_nothing_else_is() -> None:
    grey = np.linspace(0, 1, 200 * 200, dtype=np.float32).reshape(1, 1, 200, 200)
    _, results = shown(images=grey)
    *_, pixels = pictures(draw_images(results, STRIP).svgs[0])[0]
    assert pixels.shape == (96, 96, 3)
    assert (pixels == pixels[..., :1]).all()
    assert pixels[0, 0, 0] == 0 or pixels[0, 0, 0] == 1
    for array in (grey[0], np.zeros((1, 2, 4, 4))):
        _, results = shown(images=array)
        nothing = draw_images(results, STRIP)
        assert (nothing.svgs, nothing.caption) == ((), "No record has these images yet.")


def test_text_is_no_markup() -> None:
    made, results = shown()
    plan = made.with_suite(labels={"sampling_rate": {"1.0": "<a> & b"}}).plan
    svg = draw_images(replace(results, plan=plan), STRIP).svgs[0]
    assert "<a> & b" in {t.text for t in ET.fromstring(svg).iter(f"{SVG}text")}


def test_images_of_an_svg_are_stored_as_they_are_whatever_wrote_them() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 4), dtype=np.uint8)
    pixels[:20, :, 3], pixels[20:, :, 3] = 255, 0
    written = []
    for level in (1, 9):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="png", compress_level=level)
        content = base64.b64encode(file.getvalue()).decode()
        written.append(f'<image xlink:href="data:image/png;base64,\n{content}" id="a"/>')
    assert written[0] != written[1]
    one, other = map(stored_images, written)
    assert one == other
    found = re.search(r'base64,([^"]+)" id="a"/>', one)
    assert found is not None
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    np.testing.assert_array_equal(shown[:20], pixels[:20, :, :3])
    assert (shown[20:] == 255).all()
