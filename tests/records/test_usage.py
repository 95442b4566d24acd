"""What an attempt took of its GPU is kept, checked, and changes neither numbers nor freshness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.files import bytes_sha256
from bench.records.codec import BrokenRecord, dump_record, load_record
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.record import Usage, same_numbers
from bench.records.store import Store
from tests.records.built import cell, record

GIB = 1024**3
ONE = Usage("NVIDIA H200", 139 * GIB, 6 * GIB, 5 * GIB, 7 * GIB, (cell(1).id,), 12.5)

sizes = st.none() | st.integers(0, 2**40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    allocated = draw(sizes)
    reserved = draw(sizes) if allocated is None else allocated + draw(st.integers(0, 9))
    return Usage(
        draw(st.text(max_size=9)),
        draw(st.none() | st.integers(1, 2**40)),
        reserved,
        allocated,
        draw(sizes),
        tuple(draw(st.lists(st.sampled_from([cell(s).id for s in range(4)]), max_size=3))),
        draw(st.floats(0, 1e9)),
    )


def with_usage(**changed: Any) -> bytes:
    """Return the text of a record whose usage has other values, with its digest made right."""
    made = replace(record(cell()), usage=replace(ONE, **changed))
    return dump_record(made).encode()


@given(usages())
def test_it_is_read_back(usage: Usage) -> None:
    made = replace(record(cell()), usage=usage)
    text = dump_record(made).encode()
    assert load_record(text) == load_record(text, cell()) == made


def test_a_record_without_it_is_written_as_before() -> None:
    text = dump_record(record(cell()))
    assert '"usage"' not in text
    assert load_record(text.encode()).usage is None


@pytest.mark.parametrize(
    "changed",
    [
        {"total": 0}, {"total": -1}, {"reserved": -1}, {"allocated": 7 * GIB}, {"process": 1.5},
        {"process": True}, {"beside": ("no id",)}, {"seconds": -0.1}, {"device": 3},
        {"reserved": None},
    ],
)  # fmt: skip
def test_what_cannot_be_is_broken(changed: dict[str, Any]) -> None:
    with pytest.raises(BrokenRecord, match="usage"):
        load_record(with_usage(**changed))


def test_what_it_does_not_have_is_broken() -> None:
    text = with_usage().replace(b'"device":"NVIDIA H200",', b"")
    cut = text.index(b',"sha256"', text.rindex(b'"usage"'))
    digest = bytes_sha256(text[:cut]).encode()
    with pytest.raises(BrokenRecord, match="usage"):
        load_record(text[:cut] + b',"sha256":"' + digest + b'"}\n')


def test_it_is_no_number_and_makes_nothing_stale(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = record(cell()), replace(record(cell(), 2), usage=ONE)
    assert same_numbers(one.outcome, other.outcome)
    with Leases(store.layout, ttl=60) as leases:
        for each in (one, other):
            lease = leases.claim(cell().id)
            assert lease is not None
            assert leases.commit(lease, each)
    state = store.state(cell(), Expectations(), [])
    assert state.done
    assert not state.disagrees
    assert [each.usage for each in state.fresh] == [None, ONE]


def test_alone_is_without_a_neighbour() -> None:
    assert not ONE.alone
    assert replace(ONE, beside=()).alone
