"""Why a done record may not be used."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from bench.records.freshness import Expectations, differing, digests_of, stale_reasons
from bench.spec.cell import Cell, Measure, Parent
from bench.spec.recipe import Use
from bench.spec.work import Start
from tests.records.built import cell, record, task

CELL = cell(penalties={"bss": {}}, weights="shipped:near")
EXPECTED = Expectations(
    code={"train": "c", "penalty:bss": "b", "penalty:l2": "l"},
    units={CELL.id: ("train", "penalty:bss")},
    data={"glyphs": "g", "dogs": None},
    weights={"shipped:near": "w", "random": None},
)
MADE = {
    "code": {"train": "c", "penalty:bss": "b"},
    "data": {"dataset": "g"},
    "weights": {"start": {"file": "w"}},
}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"code": {"train": "c", "penalty:bss": "other"}}, ("code: penalty:bss",)),
        (
            {"code": {"train": "other", "penalty:bss": "other"}},
            ("code: penalty:bss", "code: train"),
        ),
        ({"code": {}}, ("code: penalty:bss", "code: train")),
        ({"code": {**MADE["code"], "penalty:l2": "other"}}, ("code: penalty:l2",)),
        ({"code": {**MADE["code"], "unknown to us": "other"}}, ()),
        ({"data": {"dataset": "other"}}, ("data",)),
        ({"data": {}}, ("data",)),
        ({"weights": {"start": {"file": "other"}}}, ("weights",)),
        ({"data": {}, "weights": {}}, ("data", "weights")),
    ],
)
def test_each_difference_is_named(change: dict[str, Any], reasons: tuple[str, ...]) -> None:
    made = record(CELL, **{**MADE, **change})
    assert stale_reasons(made, CELL, EXPECTED, {}) == reasons


def test_versions_are_compared_only_where_asked() -> None:
    made = record(CELL, **MADE, versions={"torch": "2.0", "timm": "1.0", "retable": "0"})
    assert stale_reasons(made, CELL, EXPECTED, {}) == ()
    here = {"torch": "2.1", "timm": "1.0", "numpy": "2.0"}
    asked = replace(EXPECTED, versions=here)
    assert stale_reasons(made, CELL, asked, {}) == ("version: torch",)


def test_a_unit_the_cell_does_not_use_may_change() -> None:
    changed = replace(EXPECTED, code={**EXPECTED.code, "penalty:l2": "edited"})
    assert stale_reasons(record(CELL, **MADE), CELL, changed, {}) == ()


def test_what_is_not_known_is_not_compared() -> None:
    dogs = cell(dataset="dogs")
    made = record(dogs, code={"train": "c"}, data={"dataset": "whatever"})
    assert stale_reasons(made, dogs, EXPECTED, {}) == ()
    assert stale_reasons(record(CELL), CELL, Expectations(), {}) == ()


def with_settings(made: Cell, **settings: Any) -> Any:
    told = record(made)
    return replace(told, cell={**told.cell, "settings": settings})


@pytest.mark.parametrize(
    ("made", "now", "paths"),
    [
        ({"steps": 9, "sgd": {"lr": 1}}, {"steps": 9, "sgd": {"lr": 1}}, []),
        ({"steps": 9, "sgd": {"lr": 1}}, {"steps": 8, "sgd": {"lr": 2}}, ["sgd.lr", "steps"]),
        # A setting newer than the record counts for nothing, one that is gone does.
        ({"steps": 9}, {"steps": 9, "clip": None, "sgd": {"lr": 1}}, []),
        ({"steps": 9, "sgd": {"lr": 1, "old": 0}}, {"steps": 9, "sgd": {"lr": 1}}, ["sgd.old"]),
        ({"crops": [1, 2]}, {"crops": [1, 3]}, ["crops.1"]),
        ({"warmup": None}, {"warmup": {"steps": 3}}, ["warmup"]),
        ({"lr": 1}, {"lr": 1.0}, []),
        # Parts in use are told by name, and may get parameters that the record lacks.
        (
            {"penalties": [{"bss": {"k": 1}}, {"l2": {"weight": 1}}]},
            {"penalties": [{"bss": {"k": 1}}, {"l2": {"weight": 2, "start": 0}}]},
            ["penalties.l2.weight"],
        ),
        ({"penalties": [{"bss": {}}]}, {"penalties": []}, ["penalties"]),
    ],
)
def test_settings_are_compared_as_values(made: Any, now: Any, paths: list[str]) -> None:
    assert list(differing(made, now)) == paths


def test_a_changed_default_makes_a_record_stale_and_says_which() -> None:
    settings = copy.deepcopy(CELL.to_json()["settings"])
    assert stale_reasons(with_settings(CELL, **settings), CELL, Expectations(), {}) == ()
    settings["recipe"]["head_bias"] = "another default"
    del settings["recipe"]["precision"]
    made = with_settings(CELL, **settings)
    assert stale_reasons(made, CELL, Expectations(), {}) == ("settings: recipe.head_bias",)


def test_the_source_whose_forgetting_was_measured_counts_as_data() -> None:
    dogs = cell(dataset="dogs")

    def reasons(**sources: str) -> tuple[str, ...]:
        made = record(dogs, data={"dataset": "d", "sources": sources})
        return stale_reasons(made, dogs, EXPECTED, {})

    assert reasons(glyphs="g") == ()
    assert reasons(glyphs="other") == ("data",)
    assert reasons(nowhere="other") == ()


def test_each_tasks_data_count() -> None:
    work = replace(cell().work, tasks={"a": task("glyphs"), "b": task("digits")})
    both, now = Cell(work, 0), Expectations(data={"glyphs": "g", "digits": "d"})

    def reasons(**data: str) -> tuple[str, ...]:
        return stale_reasons(record(both, data=data), both, now, {})

    assert reasons(**{"a/dataset": "g", "b/dataset": "d"}) == ()
    assert reasons(**{"a/dataset": "g", "b/dataset": "other"}) == ("data",)
    assert reasons(**{"a/dataset": "g"}) == reasons(dataset="g") == ("data",)


def test_each_measured_networks_weights_count() -> None:
    starts = {"start": Start("x", "shipped:near"), "end": Start("x", "file:mine")}
    both = Cell(Measure(Use(name="distance"), starts), 0)
    now = Expectations(weights={"shipped:near": "n", "file:mine": "m"})

    def reasons(**files: str) -> tuple[str, ...]:
        weights = {role: {"source": "?", "file": file} for role, file in files.items()}
        return stale_reasons(record(both, weights=weights), both, now, {})

    assert reasons(start="n", end="m") == ()
    assert reasons(start="n", end="other") == ("weights",)
    # One that the measurement never asked for.
    assert reasons(start="n") == ()


def test_a_parent_is_the_same_cell_with_the_same_artifact() -> None:
    child = cell(parents={"start": Parent("p1")})

    def reasons(**used: object) -> tuple[str, ...]:
        made = record(child, parents={"start": used} if used else {})
        return stale_reasons(made, child, Expectations(), {"start": {"a", "b"}})

    assert reasons(id="p1", sha256="a") == ()
    assert reasons(id="p1", sha256="b") == ()
    assert reasons(id="p1", sha256="c") == ("parent: start",)
    assert reasons(id="p2", sha256="a") == ("parent: start",)
    assert reasons() == ("parent: start",)


def test_an_artifact_is_found_by_its_name() -> None:
    both = {"checkpoint": "c", "checkpoint@step 300": "s"}
    made = [record(cell(), artifacts=both), record(cell(), 2, artifacts={"checkpoint": "d"})]
    assert digests_of("checkpoint", made) == {"c", "d"}
    assert digests_of("checkpoint@step 300", made) == {"s"}
    assert digests_of("predictions", made) == frozenset()
