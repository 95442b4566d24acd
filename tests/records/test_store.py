"""The state of a cell, for every way its records can lie in the store."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.records.codec import dump_record
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.record import Curve, Outcome, Record
from bench.records.store import Store
from bench.spec.cell import Cell, Parent
from tests.records.built import cell, record

Put = Callable[[Record], Path]
ANYTHING = Expectations()
CHECKPOINT = "checkpoint"


def expecting(train: str, *cells: Cell) -> Expectations:
    return Expectations(code={"train": train}, units={c.id: ("train",) for c in cells})


OLD, NEW = expecting("old", cell()), expecting("new", cell())


def test_a_cell_without_records_is_missing(store: Store) -> None:
    state = store.states([cell()], ANYTHING)[cell().id]
    assert (state.state, state.record, state.failed) == ("missing", None, 0)
    assert store.fresh(cell(), ANYTHING) is None
    assert not store.root.exists()


def test_a_done_record_makes_it_done(store: Store, put: Put) -> None:
    put(record(cell()))
    assert store.state(cell(), ANYTHING).done
    assert store.fresh(cell(), ANYTHING) == record(cell())


def test_the_oldest_fresh_record_counts(store: Store, put: Put) -> None:
    for attempt, train in enumerate(["old", "new", "new"], start=1):
        put(record(cell(), attempt, code={"train": train}))
    state = store.state(cell(), NEW)
    assert state.record is not None
    assert state.record.attempt == 2
    assert [fresh.attempt for fresh in state.fresh] == [2, 3]


def test_a_stale_cell_says_why(store: Store, put: Put) -> None:
    put(record(cell(), code={"train": "old"}))
    state = store.state(cell(), NEW)
    assert (state.state, state.reasons) == ("stale", ("code: train",))
    assert store.state(cell(), OLD).state == "done"


@pytest.mark.parametrize(
    ("status", "shown"),
    [("failed", "failed"), ("timed-out", "failed"), ("cancelled", "interrupted")],
)
def test_a_last_attempt_that_is_not_done_says_how_it_ended(
    store: Store, put: Put, status: str, shown: str
) -> None:
    put(record(cell(), 1, "failed"))
    put(record(cell(), 2, status))  # type: ignore[arg-type]
    state = store.state(cell(), ANYTHING)
    assert (state.state, state.failed, state.attempts) == (shown, 2, 2)
    assert state.record is not None
    assert state.record.attempt == 2


def test_a_failure_after_a_fresh_record_changes_nothing(store: Store, put: Put) -> None:
    put(record(cell(), 1))
    put(record(cell(), 2, "failed"))
    assert store.state(cell(), ANYTHING).done


def test_a_failure_after_a_stale_record_is_failed(store: Store, put: Put) -> None:
    put(record(cell(), 1, code={"train": "old"}))
    put(record(cell(), 2, "failed"))
    assert store.state(cell(), NEW).state == "failed"


def test_a_leased_cell_is_running_until_its_record_is_written(store: Store) -> None:
    with Leases(store.layout) as leases:
        lease = leases.claim(cell().id)
        assert lease is not None
        state = store.state(cell(), ANYTHING)
        assert state.state == "running"
        assert state.owner is not None
        assert state.owner.pid == os.getpid()
        assert leases.commit(lease, record(cell()))
        assert store.state(cell(), ANYTHING).done


@pytest.mark.parametrize("text", ["", "{", dump_record(record(cell(seed=1))), "\x00" * 10])
def test_a_broken_record_is_reported_by_name_and_not_used(
    store: Store, put: Put, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(record(cell()))
    path.write_text(text)
    assert store.state(cell(), ANYTHING).state == "missing"
    assert list(store.broken) == [path]
    assert str(path) in caplog.text
    with Leases(store.layout) as leases:
        lease = leases.claim(cell().id)
        assert lease is not None
        # Its number stays taken: nothing is ever overwritten.
        assert lease.attempt == 2


def test_a_fraction_beyond_its_range_is_broken(store: Store, put: Put) -> None:
    given = [(1.0, 0.0), (57.0, 0.5), (0.5, -0.01), (0.5, math.nan)]
    for seed, (accuracy, last) in enumerate(given):
        made = Outcome(
            "done",
            metrics={"test/top1": accuracy, "train/gradients": 99.0},
            curves={"anytime/test/top1": Curve((0, 1, 2), (0.5, last, 0.5))},
        )
        put(replace(record(cell(seed)), outcome=made))
    fractions = frozenset({"test/top1", "anytime/test/top1"})
    cells = [cell(seed) for seed in range(4)]
    states = store.states(cells, Expectations(fractions=fractions))
    assert [states[c.id].state for c in cells] == ["done", "missing", "missing", "missing"]
    assert [reason.partition(",")[0] for reason in store.broken.values()] == [
        "test/top1 is 57.0",
        *["the curve anytime/test/top1 leaves the range of a fraction"] * 2,
    ]


def test_records_of_another_retable_are_not_used_and_told_of_once(
    store: Store, put: Put, caplog: pytest.LogCaptureFixture
) -> None:
    for seed, number in enumerate([2, 2, 4]):
        path = put(record(cell(seed)))
        path.write_text(path.read_text().replace('"format":3', f'"format":{number}'))
    states = store.states([cell(seed) for seed in range(3)], ANYTHING)
    assert {state.state for state in states.values()} == {"missing"}
    assert not store.broken
    assert len(store.foreign) == 3
    assert caplog.text.count("made by an older Retable (format 2, not 3)") == 1
    assert "newer" not in caplog.text
    # Their numbers stay taken: what is written now lies beside them.
    with Leases(store.layout) as leases:
        lease = leases.claim(cell().id)
        assert lease is not None
        assert lease.attempt == 2


def test_foreign_files_in_a_cells_folder_do_not_disturb(store: Store, put: Put) -> None:
    path = put(record(cell()))
    for name in ("0002.json.bak", ".0002.json.part", "notes.txt", "0003.log", "x.json"):
        (path.parent / name).write_text("?")
    assert store.state(cell(), ANYTHING).done
    assert not store.broken


# Parents


def _stage(train: str = "now") -> Record:
    return record(cell(), code={"train": train}, artifacts={CHECKPOINT: "abc"})


def _child() -> Cell:
    return cell(parents={"start": Parent(cell().id)})


def _child_record(sha256: str = "abc") -> Record:
    used = {"start": {"id": cell().id, "attempt": 1, "sha256": sha256}}
    return record(_child(), code={"train": "now"}, parents=used)


@pytest.mark.parametrize(
    ("parent", "child", "reasons"),
    [
        (_stage(), _child_record(), ()),
        (_stage(), _child_record("another"), ("parent: start",)),
        (_stage("before"), _child_record(), ("parent: start",)),
        (None, _child_record(), ("parent: start",)),
    ],
)
def test_a_child_is_as_fresh_as_what_it_started_from(
    store: Store, put: Put, parent: Record | None, child: Record, reasons: tuple[str, ...]
) -> None:
    if parent is not None:
        put(parent)
    put(child)
    states = store.states([_child(), cell()], expecting("now", _child(), cell()))
    assert states[_child().id].reasons == reasons


def test_staleness_goes_down_all_generations(store: Store, put: Put) -> None:
    stage, child = cell(), _child()
    grandchild = cell(7, parents={"start": Parent(child.id)})
    used = {"start": {"id": stage.id, "attempt": 1, "sha256": "abc"}}
    put(_stage("before"))
    put(record(child, code={"train": "now"}, parents=used, artifacts={CHECKPOINT: "def"}))
    used = {"start": {"id": child.id, "attempt": 1, "sha256": "def"}}
    put(record(grandchild, code={"train": "now"}, parents=used))
    states = store.states([grandchild, child, stage], expecting("now", grandchild, child, stage))
    assert states[grandchild.id].reasons == ("parent: start",)


def test_a_lost_artifact_counts_only_when_it_is_needed(store: Store, put: Put) -> None:
    stage = _stage()
    path = put(stage).parent / "0001.checkpoint.bin"
    put(_child_record())
    another = cell(8, parents={"start": Parent(cell().id)})
    assert store.states([cell(), _child()], ANYTHING)[cell().id].done
    states = store.states([cell(), _child(), another], ANYTHING)
    assert states[cell().id].state == "missing"
    assert states[_child().id].done
    path.write_text("there")
    assert store.states([cell(), _child(), another], ANYTHING)[cell().id].done


def test_an_artifact_that_was_replaced_is_not_taken_for_the_old_one(store: Store, put: Put) -> None:
    stage = _stage()
    path = put(stage).parent / "0001.checkpoint.bin"
    path.write_text("another one's")
    assert store.artifact([stage], CHECKPOINT) is None


# Looking up


def test_a_cell_is_found_by_the_beginning_of_its_id(store: Store, put: Put) -> None:
    ids = sorted(put(record(cell(seed))).parent.name for seed in range(30))
    for cell_id in ids:
        assert store.find(cell_id) == cell_id
    alone = next(i for i in ids if sum(j[:3] == i[:3] for j in ids) == 1)
    assert store.find(alone[:3]) == alone
    with pytest.raises(StoreError, match="no cell's id begins with 'zz'"):
        store.find("zz")
    with pytest.raises(StoreError, match="30 cells' ids begin with ''"):
        store.find("")


def test_attempts_are_oldest_first(store: Store, put: Put) -> None:
    for attempt in (10, 2, 1):
        put(record(cell(), attempt, "failed"))
    assert [r.attempt for r in store.attempts(cell().id)] == [1, 2, 10]


# Stores that are not as they should be


def test_a_store_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("?")
    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / "file").states([cell()], ANYTHING)


def test_reading_writes_nothing_to_a_store_that_cannot_be_written(
    store: Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(record(cell()))

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(30, "Read-only file system")

    for name in ("touch", "mkdir", "write_text", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(os, "link", refuse)
    assert store.state(cell(), ANYTHING).done
    with pytest.raises(StoreError, match="Read-only file system"), Leases(store.layout):
        pass


def test_a_large_plan_on_an_empty_store_is_quick(store: Store) -> None:
    cells = [cell(seed) for seed in range(20_000)]
    ids = [c.id for c in cells]
    start = time.process_time()
    states = store.states(cells, NEW)
    assert time.process_time() - start < 1.0
    assert all(states[i].state == "missing" for i in ids)


def test_the_text_of_a_record_is_what_others_can_read(put: Put) -> None:
    data = json.loads(put(record(cell())).read_text())["record"]
    assert data["cell"]["id"] == cell().id
    assert data["attempt"] == 1
