"""A record's text is canonical, complete and versioned."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.codec import (
    BrokenRecord,
    OtherFormat,
    dump_outcome,
    dump_record,
    load_outcome,
    load_record,
)
from bench.records.record import Artifact, Curve, Failure, Outcome, Provenance, Record
from tests.records.built import cell, record

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False)
digests = st.dictionaries(texts, texts, max_size=3)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    places = st.integers(0, 9000) | st.floats(allow_nan=False)
    pairs = draw(st.lists(st.tuples(places, numbers), max_size=5))
    axis = draw(st.sampled_from(["step", "task", "epsilon"]))
    return Curve(tuple(at for at, _ in pairs), tuple(value for _, value in pairs), axis)


outcomes = st.builds(
    Outcome,
    status=st.sampled_from(["done", "failed", "timed-out", "cancelled"]),
    metrics=st.dictionaries(texts, numbers, max_size=3),
    curves=st.dictionaries(texts, curves(), max_size=2),
    timings=st.dictionaries(texts, numbers, max_size=3),
    provenance=st.builds(
        Provenance,
        code=digests,
        data=st.dictionaries(texts, st.one_of(texts, st.integers()), max_size=3),
        weights=st.dictionaries(texts, digests, max_size=2),
        parents=st.dictionaries(texts, digests, max_size=2),
        versions=digests,
        machine=digests,
    ),
    artifacts=st.dictionaries(texts, st.builds(Artifact, texts, texts), max_size=2),
    failure=st.none() | st.builds(Failure, st.just("error"), texts, texts),
)


@given(outcomes, st.integers(1, 10_000), st.floats(0, 1e9))
def test_what_was_written_is_read_back(outcome: Outcome, attempt: int, seconds: float) -> None:
    written = Record(cell().to_json(), attempt, "2026-01-01", "2026-01-02", seconds, outcome)
    assert load_record(dump_record(written)) == written
    assert load_outcome(dump_outcome(outcome)) == outcome


def test_the_text_is_one_line_of_sorted_json() -> None:
    text = dump_record(record(cell(), versions={"torch": "2", "numpy": "1"}))
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    data = json.loads(text)
    assert text == json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n"
    assert data["format"] == 2


def test_numbers_that_json_has_not_survive_and_the_text_stays_json() -> None:
    values = (0.1, math.inf, -math.inf, math.nan)
    outcome = Outcome("failed", curves={"loss": Curve((1, 2, 3, 4), values)})
    text = dump_outcome(outcome)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    read = load_outcome(text).curves["loss"].value
    assert read[:3] == values[:3]
    assert math.isnan(read[3])


def test_numbers_of_other_libraries_become_plain() -> None:
    import numpy as np

    told = Outcome("done", metrics={"top1": np.float32(0.5)}, timings={"train": np.float64(2)})
    assert load_outcome(dump_outcome(told)).metrics == {"top1": 0.5}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "EOF while parsing"),
        ('{"format": 2, "cell": {"id"', "EOF while parsing"),
        ('{"format": "2"}', "format '2' is none"),
        ('{"format": 2, "attempt": 1}', "'cell' is missing"),
        ("[1]", "list indices"),
    ],
)
def test_a_broken_text_is_said_to_be_so(text: str, why: str) -> None:
    with pytest.raises(BrokenRecord, match=why):
        load_record(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"format": 1, "cell": {}}', r"an older Retable \(format 1, not 2\)"),
        ('{"format": 3}', r"a newer Retable \(format 3, not 2\)"),
    ],
)
def test_a_record_of_another_retable_is_not_broken(text: str, why: str) -> None:
    with pytest.raises(OtherFormat, match=why):
        load_record(text)


def test_a_curve_is_over_any_axis_and_whole_places_stay_whole() -> None:
    curve = Curve((0, 300, 0.5), (0.1, 0.2, 0.3), "epsilon")
    text = dump_outcome(Outcome("done", curves={"robust": curve}))
    assert json.loads(text)["curves"]["robust"]["at"] == [0, 300, 0.5]
    read = load_outcome(text).curves["robust"]
    assert read == curve
    assert f"{read.at[1]}" == "300"


def test_a_curve_has_a_value_at_each_place() -> None:
    with pytest.raises(ValueError, match="2 places for 1 values"):
        Curve((1, 2), (0.5,))
    text = dump_outcome(Outcome("done", curves={"loss": Curve((1, 2), (0.5, 0.4))}))
    with pytest.raises(BrokenRecord, match="2 places for 1 values"):
        load_outcome(text.replace("[0.5,0.4]", "[0.5]"))
