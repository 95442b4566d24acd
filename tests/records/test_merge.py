"""Records from elsewhere are taken in once, replace nothing, and write nothing but their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.files import bytes_sha256
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.merge import merge, stored, stored_content
from bench.records.record import Artifact, Outcome, Record
from bench.records.settling import (
    SettlingRule,
    adopt_all_rules,
    adopt_settling_rule,
)
from bench.records.store import Store
from tests.records.built import cell, record

Put = Callable[[Record], Path]
MADE = {"code": {"train": "a"}, "data": {"dataset": "b"}}


def measured(top1: float, attempt: int = 1, **made: object) -> Record:
    done = record(cell(), attempt, **{**MADE, **made})
    return replace(done, outcome=replace(done.outcome, metrics={"test/top1": top1}))


def nothing(record: Record, name: str) -> None:
    return None


def state(store: Store):
    return store.states([cell()], Expectations())[cell().id]


def test_a_record_is_taken_in_once_under_its_own_number(store: Store) -> None:
    came = measured(0.5, attempt=3)
    first = merge(store, [came, came], nothing)
    assert (first.added, first.known, first.others) == (1, 1, [])
    assert store.attempts(cell().id) == [came]
    assert merge(store, [came], nothing).known == 1


def test_a_number_that_is_taken_becomes_another_and_is_known_again(store: Store, put: Put) -> None:
    put(measured(0.5))
    failed = record(cell(), 1, "failed")
    assert merge(store, [failed], nothing).added == 1
    assert [r.attempt for r in store.attempts(cell().id)] == [1, 2]
    assert merge(store, [failed], nothing).known == 1


def test_other_numbers_are_kept_beside_those_that_are_there_and_told_of(
    store: Store, put: Put
) -> None:
    put(measured(0.5))
    assert not state(store).disagrees
    merged = merge(store, [measured(0.6)], nothing)
    assert merged.others == [cell().id]
    now = state(store)
    assert now.disagrees
    # The one that was there first counts.
    assert now.record is not None
    assert now.record.outcome.metrics["test/top1"] == 0.5
    assert [r.outcome.metrics["test/top1"] for r in now.fresh] == [0.5, 0.6]


def test_what_was_made_by_other_code_may_have_other_numbers(store: Store, put: Put) -> None:
    put(measured(0.5))
    assert merge(store, [measured(0.6, code={"train": "z"})], nothing).others == []
    assert merge(store, [measured(0.5, machine={"processor": "Z"})], nothing).others == []


def test_a_unit_or_fact_more_does_not_hide_other_numbers(store: Store, put: Put) -> None:
    put(measured(0.5))
    more = {"code": {"train": "a", "penalty:own": "o"}, "data": {"dataset": "b", "rows": 3}}
    assert merge(store, [measured(0.6, **more)], nothing).others == [cell().id]


def test_a_cell_that_is_being_run_is_left_alone(store: Store) -> None:
    with Leases(store.layout) as leases:
        assert leases.claim(cell().id) is not None
        merged = merge(store, [measured(0.5)], nothing)
    assert (merged.added, merged.running) == (0, [cell().id])
    assert store.attempts(cell().id) == []


@pytest.mark.parametrize("attempt", [1, 4])
def test_artifacts_come_under_the_number_of_their_record(
    tmp_path: Path, store: Store, put: Put, attempt: int
) -> None:
    other = Store(tmp_path / "other")
    home = other.layout.cell(cell().id)
    home.path.mkdir(parents=True)
    home.artifact_path(attempt, "checkpoint", ".bin").write_bytes(b"weights")
    name = home.artifact_path(attempt, "checkpoint", ".bin").name
    artifacts = {"checkpoint": Artifact(name, bytes_sha256(b"weights"))}
    came = replace(measured(0.5, attempt), outcome=Outcome("done", artifacts=artifacts))
    merge(other, [came], nothing)
    put(record(cell(), 1, "failed"))
    assert merge(store, stored(other), stored_content(other)).added == 1
    (found,) = state(store).fresh
    assert found.attempt == max(attempt, 2)
    kept = store.artifact([found], "checkpoint")
    assert kept is not None
    assert kept[1].read_bytes() == b"weights"
    assert merge(store, stored(other), stored_content(other)).known == 1


def test_artifacts_that_come_after_their_record_are_taken_in_too(store: Store) -> None:
    artifacts = {"arrays": Artifact("0001.arrays.bin", bytes_sha256(b"map"))}
    came = replace(measured(0.5), outcome=Outcome("done", artifacts=artifacts))
    assert merge(store, [came], nothing).added == 1
    assert store.artifact(state(store).fresh, "arrays") is None
    assert merge(store, [came], lambda record, name: b"another").known == 1
    assert store.artifact(state(store).fresh, "arrays") is None
    assert merge(store, [came], lambda record, name: b"map").known == 1
    kept = store.artifact(state(store).fresh, "arrays")
    assert kept is not None
    assert kept[1].read_bytes() == b"map"


@pytest.mark.parametrize("file", ["0007.json", "0001.json", "0001.lease", "0003.checkpoint.bin"])
def test_no_file_but_an_artifacts_own_is_written(store: Store, put: Put, file: str) -> None:
    there = put(measured(0.5))
    before = there.read_bytes()
    outcome = Outcome("done", artifacts={"checkpoint": Artifact(file, bytes_sha256(b"evil"))})
    merge(store, [replace(measured(0.7), outcome=outcome)], lambda record, name: b"evil")
    assert there.read_bytes() == before
    names = {path.name for path in there.parent.iterdir()}
    assert names == {"0001.json", "0002.json"}


def test_bytes_that_are_not_the_artifacts_are_left_out(store: Store) -> None:
    artifacts = {"checkpoint": Artifact("0001.checkpoint.bin", bytes_sha256(b"weights"))}
    came = replace(measured(0.5), outcome=Outcome("done", artifacts=artifacts))
    assert merge(store, [came], lambda record, name: b"others").added == 1
    assert store.artifact(state(store).fresh, "checkpoint") is None


def test_a_rule_of_settling_is_adopted_unless_another_holds(tmp_path: Path, store: Store) -> None:
    rule, other = SettlingRule(looks=(5, 9)), SettlingRule(looks=(5, 30))
    assert adopt_settling_rule(store.layout, "..", "../x", "offline", rule) == "taken"
    assert [p.parent.name for p in tmp_path.rglob("*.json")] == ["settling"]
    assert adopt_settling_rule(store.layout, "..", "../x", "offline", rule) == "known"
    assert adopt_settling_rule(store.layout, "..", "../x", "offline", other) == "refused"
    second = Store(tmp_path / "second")
    assert list(adopt_all_rules(second.layout, store.layout).values()) == ["taken"]
    assert adopt_settling_rule(second.layout, "a", "b", "c", rule) == "taken"
    assert adopt_settling_rule(store.layout, "a", "b", "c", other) == "taken"
    adopted = adopt_all_rules(second.layout, store.layout)
    assert {file.name: what for file, what in adopted.items()}["a.b.c.json"] == "refused"
    assert sorted(adopted.values()) == ["known", "refused"]
