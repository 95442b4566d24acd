"""What happens when two things come together: a parent fails, or a store, while cells run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.records.record import Outcome
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.engine import Ended, cancelled
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job
from bench.scheduling.ledger import Approach, Ledger
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.spec.cell import Parent
from tests.records.built import cell, planned
from tests.scheduling.fake_cells import TARGET


class Told:
    """An engine whose jobs end when they are told to."""

    blocking = False
    devices = (Device("cpu", "", 2),)

    def __init__(self, ends: Callable[[Job], Outcome | None]) -> None:
        self.ends = ends
        self.running: list[Job] = []
        self.stopped = threading.Event()
        self.late: list[Job] = []

    def start(self, job: Job, device: Device) -> None:
        self.running.append(job)
        if self.stopped.is_set():
            self.late.append(job)

    def poll(self, timeout: float) -> list[Ended]:
        ended = []
        for job in list(self.running):
            outcome = self.ends(job)
            if outcome is not None:
                self.running.remove(job)
                ended.append(Ended(job, outcome, 1.0))
        return ended

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        self.stopped.set()
        ended = [Ended(job, cancelled(), 0.0) for job in self.running]
        self.running.clear()
        return ended

    def close(self) -> None:
        pass


@pytest.mark.timeout(60)
def test_a_cell_that_fails_after_its_parent_has_failed_is_not_waited_for(tmp_path: Path) -> None:
    # The parent's file goes while two children run: it runs again for the third, and fails.
    store = Store(tmp_path / "store")
    parent = cell(1)
    first, second, third = (cell(n, parents={"start": Parent(parent.id)}) for n in (2, 3, 4))
    plan = [planned(parent), *(planned(each, 1) for each in (first, second, third))]
    run(plan[:2], store, InlineEngine(target=TARGET))
    for file in store.layout.cell(first.id).path.iterdir():
        file.unlink()

    def ends(job: Job) -> Outcome | None:
        if job.cell.id == parent.id:
            return failed("user-error", "its folder is gone")
        if job.cell.id == first.id:
            for file in store.layout.cell(parent.id).path.glob("*checkpoint*"):
                file.unlink()
            return failed("user-error", "so it is")
        over = not store.attempts(parent.id)[-1].done
        return failed("error", "the third layer went wrong") if over else None

    options = RunOptions(retries=1, look_every=0.1)
    summary = run(plan, store, Told(ends), options=options)
    kinds = {one.planned.cell.id: one.failure.kind for one in summary.failures}
    assert kinds == {
        parent.id: "user-error", first.id: "user-error", second.id: "parent", third.id: "parent"
    }  # fmt: skip
    assert (summary.unfinished, summary.exit_code) == (0, 1)


def test_nothing_is_begun_by_a_claim_that_comes_while_a_run_ends_for_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    plan = [planned(cell(1)), planned(cell(2))]
    slow = plan[1].cell.id
    engine = Told(lambda job: Outcome("done"))
    approach = Ledger.approach

    def late(ledger: Ledger, cell_id: str, retries: int) -> Approach:
        came = approach(ledger, cell_id, retries)
        if cell_id == slow:
            assert engine.stopped.wait(30)
        return came

    def full(ledger: Ledger, ended: Ended) -> None:
        raise StoreError("no space is left")

    monkeypatch.setattr(Ledger, "approach", late)
    monkeypatch.setattr(Ledger, "write", full)
    with pytest.raises(StoreError, match="no space is left"):
        run(plan, store, engine)
    assert not engine.late
    assert not list(store.layout.cell(slow).path.glob("*.lease"))
