"""Maps: means over seeds, one scale a row, the same bytes for the same numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from safetensors.numpy import save

from bench.errors import SpecError
from bench.files import bytes_sha256
from bench.records.record import Artifact, Record
from bench.records.store import Store
from bench.report.arrays import StoredArrays
from bench.report.figures.drawn import Drawn
from bench.report.figures.heatmap import block_means, draw_heatmaps
from bench.report.figures.kinds import draw
from bench.report.figures.map_axes import Names, names_of
from bench.report.results import Arrays, Results

from ..curved import figure
from ..studies import Study, study

PANELS = ({"curve": "attention", "label": "weight"}, {"curve": "counts", "scale": "log"})
HEATMAP = figure(title="Maps", kind="heatmap", panels=PANELS, columns="sampling_rate")


def mapped() -> tuple[Study, Results]:
    """Two rates and two methods; the maps of each seed are a ramp plus the seed."""
    made = study()
    for planned in made.plan.cells:
        made.put(planned.cell, {"test/top1": 0.5})

    def arrays(record: Record) -> Mapping[str, Arrays]:
        ramp = np.arange(12.0).reshape(3, 4)
        return {"attention": ramp + record.cell["seed"], "counts": ramp, "vector": ramp[0]}

    return made, replace(made.results, arrays=arrays)


def texts(svg: str) -> list[str]:
    return [t.text or "" for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_a_method_a_column_a_rate_a_row_a_panel() -> None:
    _, results = mapped()
    drawn = draw_heatmaps(results, HEATMAP)
    assert len(drawn.svgs) == 2
    words = texts(drawn.svgs[0])
    assert {"l2, 15%", "l2, 100%", "weight", "counts"} <= set(words)
    assert "means over seeds, n = 3" in drawn.caption
    assert draw_heatmaps(results, HEATMAP) == drawn
    assert not drawn.bands


def test_a_map_is_the_mean_over_seeds() -> None:
    made, results = mapped()
    ramp = np.arange(12.0).reshape(3, 4)

    def same(record: Record) -> Mapping[str, Arrays]:
        return {"attention": ramp + 1, "counts": ramp}

    assert draw_heatmaps(results, HEATMAP) == draw_heatmaps(
        replace(made.results, arrays=same), HEATMAP
    )
    first = draw_heatmaps(results, HEATMAP.model_copy(update={"seeds": 1}))
    assert first.svgs != draw_heatmaps(results, HEATMAP).svgs


def test_missing_seeds_are_said_and_no_array_is_no_picture() -> None:
    made, results = mapped()
    made.lose("missing", method="l2", sampling_rate=1.0, seed=2)
    assert "**Partial**, seeds are missing: l2 (2/3)." in draw_heatmaps(results, HEATMAP).caption
    nothing = draw_heatmaps(made.results, HEATMAP)
    assert (nothing.svgs, nothing.caption) == ((), "No record has these arrays yet.")
    flat = figure(kind="heatmap", panels=({"curve": "vector"},))
    assert draw_heatmaps(results, flat).svgs == ()


def test_fine_maps_are_means_of_blocks() -> None:
    fine = np.arange(8.0).reshape(2, 4)
    assert block_means(fine, 2).tolist() == [[0.5, 2.5], [4.5, 6.5]]
    assert block_means(fine, 4) is fine
    assert block_means(np.ones((200, 100))).shape == (96, 96)


def test_a_page_has_them_among_its_figures() -> None:
    made, results = mapped()
    made = made.with_suite(figures=(HEATMAP,))
    from bench.report.page import build_page

    page = build_page(replace(results, plan=made.plan), stem="t")
    assert sorted(page.figures) == ["t-1.svg", "t-2.svg", "t.answer.svg"]
    assert "![Maps](<t-1.svg>)" in page.markdown
    assert page.curves is None


def test_an_unknown_kind_is_the_users_error() -> None:
    _, results = mapped()
    with pytest.raises(SpecError, match="did you mean 'heatmap'"):
        draw(results, HEATMAP.model_copy(update={"kind": "heatmaps"}))


def test_arrays_are_read_from_the_store_and_checked(tmp_path: Path) -> None:
    made, _ = mapped()
    record = next(iter(made.records.values()))
    store = Store(tmp_path)
    folder = store.layout.cell(record.id)
    content = save({"attention": np.eye(2)})
    artifact = Artifact("0001.arrays.safetensors", bytes_sha256(content))
    record = replace(record, outcome=replace(record.outcome, artifacts={"arrays": artifact}))
    assert StoredArrays(store)(record) == {}
    path = folder.artifact(artifact.file)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert StoredArrays(store)(record)["attention"].tolist() == [[1, 0], [0, 1]]


def test_lines_are_rows_of_one_picture_by_one_scale() -> None:
    made, results = mapped()
    rows = figure(kind="heatmap", panels=PANELS[:1], columns="sampling_rate", lines="method")
    drawn = draw_heatmaps(results, rows)
    assert len(drawn.svgs) == 1
    words = texts(drawn.svgs[0])
    methods = {str(planned.place["method"]) for planned in made.plan.cells}
    assert len(methods) == 2
    assert methods | {"15%", "100%", "weight"} <= set(words)
    assert "one scale for all maps of a picture." in drawn.caption
    # One bar of colours for both rows.
    assert words.count("weight") == 1


UNITS = {"curve": "cka", "label": "CKA", "limits": [0, 1], "down": "first", "across": "second"}


def text_bytes(*names: str) -> Arrays:
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def over_units(rows: Sequence[str], columns: Sequence[str], **panel: Any) -> Drawn:
    made, _ = mapped()
    values = np.linspace(0.1, 0.9, len(rows) * len(columns)).reshape(len(rows), len(columns))

    def arrays(record: Record) -> Mapping[str, Arrays]:
        names = {"cka/rows": text_bytes(*rows), "cka/columns": text_bytes(*columns)}
        return {"cka": values, **names}

    drawn = figure(kind="heatmap", columns="sampling_rate", panels=[{**UNITS, **panel}])
    return draw_heatmaps(replace(made.results, arrays=arrays), drawn)


def test_units_are_named_and_the_values_of_few_can_be_read() -> None:
    words = texts(over_units(["stem", "tête$"], ["a", "b", "c"]).svgs[0])
    # Names that both columns share stand at the left once; those below stand below each.
    assert [words.count(name) for name in ("stem", "tête$", "a", "b", "c")] == [1, 1, 2, 2, 2]
    assert [words.count(name) for name in ("first", "second")] == [1, 2]
    assert [words.count(f"{value:.2f}") for value in np.linspace(0.1, 0.9, 6)] == [2] * 6


def test_many_units_have_as_many_names_as_fit_and_no_values() -> None:
    names = [f"unit{i:03}" for i in range(120)]
    words = texts(over_units(["a"], names).svgs[0])
    written = [word for word in dict.fromkeys(words) if word.startswith("unit")]
    assert written[0] == "unit000"
    assert 20 < len(written) < 60
    assert "0.10" not in words


def test_the_end_of_a_long_name_is_kept() -> None:
    words = texts(over_units(["features.stages.0.blocks.1.conv2"], ["a"]).svgs[0])
    assert "…stages.0.blocks.1.conv2" in words


def test_names_that_do_not_fit_the_map_are_not_its_names() -> None:
    one = texts(over_units(["a", "b\nc"], ["d", "e"]).svgs[0])
    assert not {"a", "b", "c"} & set(one)
    assert {"d", "e"} <= set(one)


def test_names_are_written_as_they_are_read() -> None:
    names_array = pytest.importorskip("bench.parts.array_names").names_array
    names = ["conv1", "layer1.0.tête"]
    array = names_array(names).numpy()
    read = names_of({"cka": np.eye(2), "cka/rows": array, "cka/columns": array}, "cka")
    assert read == Names(tuple(names), tuple(names))
    for wrong in ("two\nlines", ""):
        with pytest.raises(ValueError, match="a name is one line"):
            names_array(["a", wrong])


def test_colours_go_from_limit_to_limit() -> None:
    def fills(**panel: Any) -> list[str]:
        svg = over_units(["a"], ["b", "c"], **panel).svgs[0]
        group = next(
            g for g in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
            if g.get("id", "").startswith("PolyCollection")
        )  # fmt: skip
        return [
            p.attrib["style"].removeprefix("fill: ")
            for p in group.iter("{http://www.w3.org/2000/svg}path")
        ]

    colours = colormaps["viridis"]
    assert fills() == [to_hex(colours(0.1)), to_hex(colours(0.9))]
    assert fills(limits=None) == [to_hex(colours(0.0)), to_hex(colours(1.0))]
    assert fills(limits=[0.3, 0.5]) == fills(limits=None)


def test_equal_neighbours_are_one_shape() -> None:
    made, results = mapped()

    def halves(record: Record) -> Mapping[str, Arrays]:
        return {"attention": np.repeat([[0.0, 1.0]], 20, axis=1).repeat(4, axis=0)}

    def shapes(of: Results) -> int:
        drawn = draw_heatmaps(of, figure(kind="heatmap", panels=PANELS[:1], lines="method"))
        root = ET.fromstring(drawn.svgs[0])
        return sum(
            len(list(group.iter("{http://www.w3.org/2000/svg}path")))
            for group in root.iter("{http://www.w3.org/2000/svg}g")
            if group.get("id", "").startswith("PolyCollection")
        )

    two = shapes(replace(made.results, arrays=halves))
    assert two == 2 * 4 * len({str(p.place["method"]) for p in made.plan.cells})
    assert shapes(results) == 3 * 4 * 2
