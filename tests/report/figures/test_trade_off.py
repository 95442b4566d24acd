"""One curve against another: the points are the records' own, each seed is there, ends are told."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from bench.report.figures.kinds import draw
from bench.report.figures.trade_off import Path, trade_off

from ..curved import STEPS, curved, figure, follow
from ..studies import Study

SVG = "{http://www.w3.org/2000/svg}"
NEW, OLD = "validation/top1", "anytime/source/top1"
PANELS = [{"curve": OLD, "label": "earlier task"}]
FIGURE = figure(kind="trade-off", over=NEW, panels=PANELS)


def new(labels: dict[str, object], step: int) -> float:
    return 0.05 * step + 0.01 * int(labels["seed"])  # type: ignore[call-overload]


def old(labels: dict[str, object], step: int) -> float:
    loss = 0.01 if labels["method"] == "l2+bss" else 0.03
    return 0.9 - loss * step - 0.02 * int(labels["seed"])  # type: ignore[call-overload]


def made(drawn=FIGURE, **axes: object) -> Study:
    found = curved({"seed": [0, 1, 2], **axes}, drawn)
    follow(found, new, curve=NEW)
    follow(found, old, curve=OLD)
    return found


def path(found: Study, **where: object) -> Path:
    place = next(p.place for p in found.cells(**where))
    return trade_off(found.results, place, NEW, OLD)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lines(svg: str) -> list[str]:
    """Return the paths drawn as lines of a panel."""
    return [
        node.get("d", "")
        for node in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if node.get("clip-path") and "fill: none" in node.get("style", "")
        and "#d0d7de" not in node.get("style", "")
    ]  # fmt: skip


def test_a_path_is_of_both_curves_seed_by_seed_and_in_their_units() -> None:
    found = path(made(), method="l2")
    for seed, points in enumerate(found.seeds):
        labels = {"method": "l2", "seed": seed}
        expected = [(100 * new(labels, s), 100 * old(labels, s)) for s in STEPS]
        np.testing.assert_allclose(points, expected)
    np.testing.assert_allclose(found.mean, np.mean(found.seeds, axis=0))
    assert found.expected == 3


def test_only_steps_that_both_curves_have_are_states() -> None:
    study = made()
    follow(study, old, curve=OLD, steps=lambda labels: (0, 2, 4, 8))
    found = path(study, method="l2")
    assert [len(seed) for seed in found.seeds] == [3, 3, 3]
    np.testing.assert_allclose(found.mean[:, 0], 100 * np.array([0.01, 0.11, 0.41]))


def test_a_mean_is_over_the_steps_that_every_seed_has() -> None:
    study = made()
    follow(study, old, curve=OLD, seed=2, steps=lambda labels: (0, 1, 2))
    found = path(study, method="l2")
    assert [len(seed) for seed in found.seeds] == [len(STEPS), len(STEPS), 3]
    assert len(found.mean) == 3
    caption = draw(study.results, FIGURE).caption
    assert "Steps that not every seed has are in the thin lines alone." in caption


def test_what_is_no_number_is_no_state() -> None:
    study = made()
    follow(study, lambda at, step: float("nan") if step > 3 else old(at, step), curve=OLD)
    found = path(study, method="l2")
    assert np.isfinite(found.mean).all()
    assert len(found.mean) == len([step for step in STEPS if step <= 3])


def test_every_method_has_its_mean_and_a_thin_line_a_seed() -> None:
    drawn = draw(made().results, FIGURE)
    (svg,) = drawn.svgs
    assert len(lines(svg)) == 2 * (1 + 3)
    shown = texts(svg)
    for name in ("earlier task (%)", f"{NEW} (%)", "l2", "l2+bss", "start", "end"):
        assert name in shown, name
    assert drawn.caption == (
        "Lines: means over seeds at each step, n = 3, from the first point (open) to the last "
        "(filled); thin: each seed by itself."
    )


def test_a_single_seed_has_one_line() -> None:
    drawn = draw(made(seed=[0]).results, FIGURE)
    assert len(lines(drawn.svgs[0])) == 2
    assert "thin" not in drawn.caption


def test_a_picture_for_each_value_of_an_axis_it_does_not_name_or_a_column() -> None:
    two = {"dataset": ["pets", "cars"]}
    assert len(draw(made(**two).results, FIGURE).svgs) == 2
    columns = figure(kind="trade-off", over=NEW, panels=PANELS, columns="dataset")
    (svg,) = draw(made(columns, **two).results, columns).svgs
    assert {"pets", "cars"} <= set(texts(svg))
    assert len(lines(svg)) == 2 * 2 * 4


def test_missing_seeds_are_said() -> None:
    study = made()
    study.lose("missing", method="l2", seed=1)
    drawn = draw(study.results, FIGURE)
    assert "**Partial**, seeds are missing: l2 (2/3)." in drawn.caption
    assert "l2 (partial)" in texts(drawn.svgs[0])


def test_without_records_there_is_no_picture() -> None:
    drawn = draw(curved({}, FIGURE).results, FIGURE)
    assert (drawn.svgs, drawn.caption) == (
        (), "No record has both of these curves at one step yet.",
    )  # fmt: skip


def test_its_numbers_are_in_the_csv_of_curves() -> None:
    csv = made().page().curves
    assert csv is not None
    named = {row.split(",")[-7] for row in csv.splitlines()[1:]}
    assert named == {NEW, OLD}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"over": None}, "needs the curve that its panels stand over"),
        ({"over": OLD}, "a trade-off is of two curves"),
        ({"seeds": 1}, "draws each seed beside the mean"),
        ({"kind": "curves"}, "a trade-off over a curve"),
    ],
)
def test_what_a_trade_off_needs(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        figure(**{"kind": "trade-off", "over": NEW, "panels": PANELS, **changes})
