"""A record's text is canonical, complete and versioned."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
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
from bench.spec.cell import Cell, Parent
from bench.spec.work import canonical_json
from tests.records.built import cell, measurement, record

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False)
durations = st.floats(0, 1e9)
digests = st.dictionaries(texts, texts, max_size=3)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    places = st.integers(0, 9000) | st.floats(allow_nan=False)
    pairs = draw(st.lists(st.tuples(places, numbers), max_size=5))
    axis = draw(st.sampled_from(["step", "task", "epsilon"]))
    return Curve(tuple(at for at, _ in pairs), tuple(value for _, value in pairs), axis)


files = st.text("abc.@ ", min_size=3, max_size=20)
outcomes = st.builds(
    Outcome,
    status=st.sampled_from(["done", "failed", "timed-out", "cancelled"]),
    metrics=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    curves=st.dictionaries(texts, curves(), max_size=2),
    timings=st.dictionaries(texts, durations, max_size=3),
    provenance=st.builds(
        Provenance,
        code=digests,
        data=st.dictionaries(texts, st.one_of(texts, st.integers()), max_size=3),
        weights=st.dictionaries(texts, digests, max_size=2),
        parents=st.dictionaries(texts, digests, max_size=2),
        versions=digests,
        machine=digests,
    ),
    artifacts=st.dictionaries(texts, st.builds(Artifact, files, texts), max_size=2),
    failure=st.none() | st.builds(Failure, st.just("error"), texts, texts),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(outcomes, st.integers(1, 9_999), durations)
def test_what_was_written_is_read_back(outcome: Outcome, attempt: int, seconds: float) -> None:
    written = Record(cell().to_json(), attempt, "2026-01-01", "2026-01-02", seconds, outcome)
    assert load_record(dump_record(written).encode()) == written
    assert load_outcome(dump_outcome(outcome)) == outcome


def test_the_text_is_one_line_of_sorted_json() -> None:
    text = dump_record(record(cell(), versions={"torch": "2", "numpy": "1"}))
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    data = json.loads(text)
    assert text == json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n"
    assert list(data) == ["format", "record", "sha256"]
    assert data["format"] == 3


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


def test_no_byte_of_a_record_can_change_unseen() -> None:
    text = dump_record(record(cell(), versions={"torch": "2"})).encode()
    for place in range(len(text)):
        for change in (1, 0x10):
            damaged = bytes([*text[:place], text[place] ^ change, *text[place + 1 :]])
            with pytest.raises(BrokenRecord):
                load_record(damaged)
        with pytest.raises(BrokenRecord):
            load_record(text[:place])


def resealed(text: str, old: str, new: str) -> bytes:
    """Return a record with a part of its text replaced, and the digest that fits."""
    assert text.count(old) == 1, text
    body = text.replace(old, new).rpartition(',"sha256"')[0].encode()
    return body + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


WHOLE = Outcome(
    "done",
    metrics={"test/top1": 0.57},
    curves={"train/loss": Curve((0, 1), (2.5, 1.5))},
    timings={"train_s": 4.25},
    provenance=Provenance(code={"train": "ab"}),
    artifacts={"checkpoint": Artifact("0001.checkpoint.safetensors", "cd")},
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('{"test/top1":0.57}', '{"test/top1":"0.57"}', "outcome.metrics.test/top1"),
        ('{"test/top1":0.57}', '{"test/top1":true}', "outcome.metrics.test/top1"),
        ('{"test/top1":0.57}', '{"test/top1":"nan"}', "no finite number"),
        ('{"test/top1":0.57}', '{"test/top1":1e999}', "finite number"),
        ('"value":[2.5,1.5]', '"value":[2.5]', "2 places for 1 values"),
        ('"value":[2.5,1.5]', '"value":[2.5,null]', "outcome.curves.train/loss.value.1"),
        ('"code":{"train":"ab"}', '"code":null', "outcome.provenance.code"),
        ('"train_s":4.25', '"train_s":-4.25', "outcome.timings.train_s"),
        ('"seconds":4.5', '"seconds":-1.0', "seconds: Input should be greater"),
        ('"attempt":1', '"attempt":0', "attempt: Input should be greater"),
        ('"file":"0001.c', '"file":"../0001.c', "outcome.artifacts.checkpoint.file"),
        ('"status":"done"', '"status":"fine"', "outcome.status"),
        ('"failure":null,', "", "outcome.failure: Field required"),
        ('"seed":7', '"seed":8', "is not that of its cell's work"),
        ('"attempt":1,', "", "attempt: Field required"),
        ('"attempt":1,', '"attempt":1,"more":2,', "more: Extra inputs"),
    ],
)
def test_what_no_record_can_hold_is_broken_though_its_digest_fits(
    old: str, new: str, why: str
) -> None:
    written = Record(cell(seed=7).to_json(), 1, "2026-01-01", "2026-01-02", 4.5, WHOLE)
    text = dump_record(written)
    assert load_record(resealed(text, old, old)) == written
    with pytest.raises(BrokenRecord, match=why):
        load_record(resealed(text, old, new))


def test_a_cell_of_another_work_or_parent_has_another_id() -> None:
    parent = Parent("0" * 20)
    text = dump_record(record(cell(parents={"start": parent})))
    load_record(text.encode())
    for old, new in [
        ('"work":{"train":{"network":"resnet18', '"work":{"train":{"network":"resnet19'),
        (f'"id":"{parent.id}"', f'"id":"{"1" * 20}"'),
    ]:
        with pytest.raises(BrokenRecord, match="is not that of its cell's work"):
            load_record(resealed(text, old, new))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not whole"),
        (b'{"format": 2, "cell": {"id"', "not whole"),
        (b'{"format": "2"}', "not whole"),
        (b'{"format": 3, "attempt": 1}', "not whole"),
        (b"[1]", "not whole"),
    ],
)
def test_a_broken_text_is_said_to_be_so(text: bytes, why: str) -> None:
    with pytest.raises(BrokenRecord, match=why):
        load_record(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"format": 2, "cell": {}}', r"an older Retable \(format 2, not 3\)"),
        (b'{"format": 4}', r"a newer Retable \(format 4, not 3\)"),
    ],
)
def test_a_record_of_another_retable_is_not_broken(text: bytes, why: str) -> None:
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


PLANNED = [
    cell(seed=7),
    cell(seed=7, penalties={"l2": {"weight": 0.1}}, parents={"start": Parent("0" * 20)}),
    measurement(seed=7, parents={"start": Parent("0" * 20, "checkpoint@step 300")}),
    cell(seed=7, dataset='gl"yphs é'),
]


@pytest.mark.parametrize("planned", PLANNED)
def test_a_cells_text_is_the_canonical_json_of_its_data(planned: Cell) -> None:
    assert planned.json_text() == canonical_json(planned.to_json())


def changes(value: Any) -> Iterator[Any]:
    """Yield a JSON value with each single part of it, itself too, replaced or left out."""
    yield from (None, "x", "nan", -1, 0, 2.5, True, [], {}, {"more": 1})
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {other: value[other] for other in value if other != name}
            yield from ({**value, name: changed} for changed in changes(inner))
    if isinstance(value, list):
        for i, inner in enumerate(value):
            yield from ([*value[:i], changed, *value[i + 1 :]] for changed in changes(inner))


def read(text: bytes, planned: Cell | None = None) -> tuple[str, str]:
    try:
        # As text a NaN is what it is.
        return "record", dump_record(load_record(text, planned))
    except BrokenRecord as error:
        return "broken", str(error)


@pytest.mark.parametrize("planned", PLANNED)
def test_a_record_reads_the_same_where_its_cell_is_known(planned: Cell) -> None:
    whole = dump_record(Record(planned.to_json(), 1, "2026-01-01", "2026-01-02", 4.5, WHOLE))
    kinds = set()
    for record_data in (json.loads(whole)["record"], *changes(json.loads(whole)["record"])):
        body = b'{"format":3,"record":' + canonical_json(record_data).encode()
        text = body + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'
        found = read(text)
        assert read(text, planned) == found
        kinds.add(found[0])
    assert kinds == {"record", "broken"}


def test_records_of_one_work_share_its_settings() -> None:
    one = PLANNED[1]
    cells = [Cell(one.work, seed, one.parents) for seed in (1, 2)]
    first, second = (load_record(dump_record(record(c)).encode(), c) for c in cells)
    assert [first.id, second.id] == [c.id for c in cells]
    assert first.cell["settings"] is second.cell["settings"] is one.settings
    assert first.cell["work"] is second.cell["work"]
