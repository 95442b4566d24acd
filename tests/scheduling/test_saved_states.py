"""A cell's saved state outlives the attempts that may be gone on from, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.records.lease import Lease, Leases
from bench.records.store import Store
from bench.scheduling.engines.engine import Ended
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.spec.cell import PlannedCell
from tests.scheduling.fake_cells import TARGET
from tests.scheduling.test_local import act, attempts
from tests.scheduling.test_run import inline


def leave(store: Store, one: PlannedCell) -> None:
    folder = store.layout.cell(one.cell.id)
    folder.path.mkdir(parents=True)
    folder.progress.write_bytes(b"a state")


@pytest.mark.parametrize(
    ("name", "kept"),
    [("sleep", False), ("nan", False), ("user", False), ("oom", True), ("raise", True)],
)
def test_it_goes_once_a_cell_is_done_or_would_fail_again_as_it_did(
    name: str, kept: bool, store: Store
) -> None:
    one = act(name, **({"seconds": 0.0} if name == "sleep" else {}))
    leave(store, one)
    inline([one], store, retries=0)
    assert store.layout.cell(one.cell.id).progress.exists() == kept


def test_it_is_there_until_the_record_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one = act("sleep", seconds=0.0)
    leave(store, one)
    there = []
    write = Leases.write

    def spy(self: Leases, *arguments: Any, **named: Any) -> bool:
        written = write(self, *arguments, **named)
        there.append(store.layout.cell(one.cell.id).progress.exists())
        return written

    monkeypatch.setattr(Leases, "write", spy)
    inline([one], store)
    assert there == [True]


def test_a_record_that_is_discarded_leaves_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = act("sleep", seconds=0.0)
    leave(store, one)
    saved = store.layout.cell(one.cell.id).progress
    there = []
    write = Leases.write

    def taken_over(self: Leases, lease: Lease, content: bytes, *, done: bool) -> bool:
        if lease.attempt == 1 and not there:
            there.append(saved.exists())
            self.release(lease)
            return False
        there.append(saved.exists())
        return write(self, lease, content, done=done)

    monkeypatch.setattr(Leases, "write", taken_over)
    inline([one], store, look_every=0.0)
    # The attempt after it is the one that has removed the file, and has its record.
    assert there == [True, True]
    assert not saved.exists()
    assert [record.done for record in attempts(store, one)] == [True]


def test_seconds_of_attempts_that_were_gone_on_from_count(store: Store) -> None:
    one = act("sleep", seconds=0.0)

    class GoneOn(InlineEngine):
        def poll(self, timeout: float) -> list[Ended]:
            return [
                replace(each, outcome=replace(each.outcome, timings={"earlier_s": 5000.0}))
                for each in super().poll(timeout)
            ]

    run([one], store, GoneOn(target=TARGET), options=RunOptions())
    assert 5000 <= attempts(store, one)[0].seconds < 5100


def test_how_often_is_told_to_each_job(store: Store) -> None:
    told = []

    class Seeing(InlineEngine):
        def start(self, job, device):  # type: ignore[no-untyped-def]
            told.append(job.save_every)
            super().start(job, device)

    run([act("sleep", seconds=0.0)], store, Seeing(target=TARGET), options=RunOptions())
    run(
        [act("sleep", 1, seconds=0.0)], store, Seeing(target=TARGET),
        options=RunOptions(save_every=0),
    )  # fmt: skip
    assert told == [600.0, 0]
