"""Why a done record may not be used."""

from __future__ import annotations

import pytest

from bench.records.freshness import Expectations, digests_for, stale_reasons
from tests.records.built import cell, record

EXPECTED = Expectations(
    code={"core": "c", "bss": "b", "l2": "l"},
    data={"glyphs": "g", "dogs": None},
    weights={"shipped:near": "w", "random": None},
)
MADE = {
    "code": {"core": "c", "bss": "b"},
    "data": {"dataset": "g"},
    "weights": {"file": "w"},
}
CELL = cell(penalties={"bss": {}}, weights="shipped:near")


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ()),
        ({"code": {"core": "c", "bss": "other"}}, ("code: bss",)),
        ({"code": {"core": "other", "bss": "other"}}, ("code: bss", "code: core")),
        ({"code": {}}, ("code: bss", "code: core")),
        ({"code": {"core": "c", "bss": "b", "l2": "other"}}, ("code: l2",)),
        ({"code": {"core": "c", "bss": "b", "unknown-to-us": "other"}}, ()),
        ({"data": {"dataset": "other"}}, ("data",)),
        ({"data": {}}, ("data",)),
        ({"weights": {"file": "other"}}, ("weights",)),
        ({"data": {}, "weights": {}}, ("data", "weights")),
    ],
)
def test_each_difference_is_named(change: dict[str, object], reasons: tuple[str, ...]) -> None:
    made = record(CELL, **{**MADE, **change})
    assert stale_reasons(made, CELL, EXPECTED, {}) == reasons


def test_a_part_the_cell_does_not_use_may_change() -> None:
    changed = Expectations(code={**EXPECTED.code, "l2": "edited"})
    assert stale_reasons(record(CELL, **MADE), CELL, changed, {}) == ()


def test_what_is_not_known_is_not_compared() -> None:
    dogs = cell(dataset="dogs")
    made = record(dogs, code={"core": "c"}, data={"dataset": "whatever"})
    assert stale_reasons(made, dogs, EXPECTED, {}) == ()
    assert stale_reasons(record(CELL), CELL, Expectations(), {}) == ()


def test_the_source_whose_forgetting_was_measured_counts_as_data() -> None:
    dogs = cell(dataset="dogs")

    def reasons(**data: str) -> tuple[str, ...]:
        made = record(dogs, code={"core": "c"}, data={"dataset": "d", **data})
        return stale_reasons(made, dogs, EXPECTED, {})

    assert reasons(source="glyphs", source_dataset="g") == ()
    assert reasons(source="glyphs", source_dataset="other") == ("data",)
    assert reasons(source="nowhere", source_dataset="other") == ()


def test_a_parent_is_the_same_cell_with_the_same_artifact() -> None:
    child = cell(parents={"weights": "p1"})

    def reasons(**used: object) -> tuple[str, ...]:
        made = record(child, parents={"weights": used} if used else {})
        return stale_reasons(made, child, Expectations(), {"weights": {"a", "b"}})

    assert reasons(id="p1", sha256="a") == ()
    assert reasons(id="p1", sha256="b") == ()
    assert reasons(id="p1", sha256="c") == ("parent: weights",)
    assert reasons(id="p2", sha256="a") == ("parent: weights",)
    assert reasons() == ("parent: weights",)


def test_a_role_takes_its_own_artifact() -> None:
    both = {"checkpoint.safetensors": "c", "channel-weights.safetensors": "w", "x": "y"}
    made = [record(cell(), artifacts=both)]
    assert digests_for("weights", made) == {"c"}
    assert digests_for("channel-attention", made) == {"w"}
    assert digests_for("other", made) == frozenset()
