"""Records are written while cells run: nothing waits for the disk but what must."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

import pytest

from bench.errors import StoreError
from bench.once import once
from bench.records.freshness import Expectations
from bench.records.record import Record
from bench.records.store import Store
from bench.scheduling.clerks import Clerks
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job
from bench.scheduling.run import run
from bench.spec.cell import PlannedCell
from tests.scheduling.fake_cells import TARGET
from tests.scheduling.test_local import act, attempts
from tests.scheduling.test_run import family, inline

_NOTHING = Expectations()


class Disk:
    """A disk whose fsyncs wait until it is let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moves = threading.Event()
        self.waiting = 0
        sync = os.fsync

        def waits(descriptor: int) -> None:
            self.waiting += 1
            assert self.moves.wait(60)
            sync(descriptor)

        monkeypatch.setattr("bench.records.appear.os.fsync", waits)


class Counting(InlineEngine):
    """Tells a disk to go on when so many cells were begun."""

    def __init__(self, disk: Disk, enough: int) -> None:
        super().__init__(target=TARGET)
        self.disk, self.enough, self.begun = disk, enough, 0

    def start(self, job: Job, device: Device) -> None:
        super().start(job, device)
        self.begun += 1
        if self.begun == self.enough:
            self.disk.moves.set()


def test_a_slot_does_not_wait_for_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    plan = [act("sleep", seed, seconds=0.0) for seed in range(10)]
    assert run(plan, store, Counting(disk, 10)).done == 10
    assert disk.waiting >= 10


def test_a_child_begins_when_its_parents_record_is_on_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        time.sleep(0.02)
        sync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    class Looks(InlineEngine):
        def start(self, job: Job, device: Device) -> None:
            for parent in job.parents.values():
                folder = store.layout.cell(parent.id)
                assert folder.record(1).exists()
                # Its bytes, and then its name.
                assert any(f"/{parent.id}/.0001.json" in path for path in synced)
                assert str(folder.path) in synced
            super().start(job, device)

    def on_done(planned: PlannedCell, record: Record) -> None:
        assert str(store.layout.cell(record.id).path) in synced

    monkeypatch.setattr(os, "fsync", noted)
    assert run(family(), store, Looks(target=TARGET), on_done=on_done).done == 3


def test_what_a_clerk_cannot_write_ends_the_run_as_an_error_of_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bench.records.appear.os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        inline([act("sleep", seed, seconds=0.0) for seed in range(5)], store)
    assert not list(store.root.rglob("*.lease"))
    assert not list(store.root.rglob("*.part"))


def test_a_run_that_is_stopped_waits_for_the_records_under_way(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    plan = [act("sleep", seed, seconds=0.0) for seed in range(6)]

    class Stops(Counting):
        def start(self, job: Job, device: Device) -> None:
            super().start(job, device)
            if self.begun == 3:
                threading.Timer(0.1, disk.moves.set).start()
                raise KeyboardInterrupt

    summary = run(plan, store, Stops(disk, 99))
    assert summary.done >= 2
    done = [one for one in plan if any(r.done for r in attempts(store, one))]
    assert len(done) == summary.done
    assert not list(store.root.rglob("*.lease"))


def test_cells_that_others_have_done_are_passed_over_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = [act("sleep", seed, seconds=0.0) for seed in range(20)]
    states = store.states([p.cell for p in plan], _NOTHING)
    inline(plan, store)
    waited: list[float] = []

    class Impatient(InlineEngine):
        def poll(self, timeout: float) -> list[Ended]:
            waited.append(timeout)
            return super().poll(0.0)

    summary = run(plan, store, Impatient(target=TARGET), states=states)
    assert (summary.done, summary.elsewhere) == (0, 20)
    # An engine that has nothing to do is not waited for.
    assert not any(waited)


def test_claims_come_in_the_order_in_which_they_were_asked_for() -> None:
    came: list[int] = []
    with Clerks() as clerks:
        for number in range(8):
            clerks.ask(_after(0.02 if number == 0 else 0.0, number), came.append)
        while clerks.busy:
            clerks.wait(1.0)
            clerks.hand_out()
    assert came == list(range(8))


def test_threads_compute_a_value_once() -> None:
    computed: list[int] = []

    @once(8)
    def slow(number: int) -> int:
        computed.append(number)
        time.sleep(0.02)
        return number

    threads = [threading.Thread(target=slow, args=(7,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == [7]


def _after(seconds: float, number: int) -> Callable[[], int]:
    def errand() -> int:
        time.sleep(seconds)
        return number

    return errand
