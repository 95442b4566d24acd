"""A run: what is executed, in what order, how often, and what it says of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.errors import SpecError, StoreError
from bench.records.codec import dump_record
from bench.records.freshness import Expectations
from bench.records.lease import Leases
from bench.records.record import Failure, Outcome, Record
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.scheduling.summary import RunSummary
from bench.spec.cell import Parent, PlannedCell, Resources
from bench.spec.recipe import Use
from tests.records.built import cell, planned, record
from tests.scheduling.conftest import Execute
from tests.scheduling.fake_cells import TARGET
from tests.scheduling.test_local import act, attempts, failure


def journal(store: Store) -> list[str]:
    """Return the ids of the executed cells in order."""
    path = store.root / "journal"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def inline(plan: list[PlannedCell], store: Store, **options: object) -> RunSummary:
    return run(plan, store, InlineEngine(target=TARGET), options=RunOptions(**options))  # type: ignore[arg-type]


def family() -> list[PlannedCell]:
    """Return a stage, its child and its grandchild."""
    stage = cell(1)
    child = cell(2, parents={"start": Parent(stage.id)})
    grandchild = cell(3, parents={"start": Parent(child.id)})
    return [planned(stage), planned(child, 1), planned(grandchild, 2)]


def test_everything_is_executed_once_and_then_never_again(store: Store, execute: Execute) -> None:
    plan = [act("sleep", seed, seconds=0.01) for seed in range(5)]
    summary = execute(plan)
    assert (summary.done, summary.before, summary.attempts, summary.exit_code) == (5, 0, 5, 0)
    assert summary.cell_seconds >= 0.05
    assert summary.overhead == pytest.approx(
        summary.wall_seconds / (summary.cell_seconds / summary.slots)
    )
    summary = execute(plan)
    assert (summary.done, summary.before, summary.attempts, summary.exit_code) == (0, 5, 0, 0)
    assert summary.overhead is None
    assert len(journal(store)) == 5


def test_several_suites_share_a_cell_and_are_told_apart(store: Store) -> None:
    shared, bad = act("sleep", seconds=0.0), act("nan")
    child = planned(cell(9, parents={"start": Parent(bad.cell.id)}), 1)
    of = {"a/x": [shared, act("sleep", 1, seconds=0.0)], "a/y": [shared, bad, child]}
    plan = [each for cells in of.values() for each in cells]
    there = Resources(folders={"mine": "/there"})
    seen: dict[str, Resources] = {}

    class Seeing(InlineEngine):
        def start(self, job: Job, device: Device) -> None:
            seen[job.cell.id] = job.resources
            super().start(job, device)

    summary = run(
        plan,
        store,
        Seeing(target=TARGET),
        resources={bad.cell.id: there},
        suites={name: {each.cell.id for each in cells} for name, cells in of.items()},
    )
    assert len(journal(store)) == summary.attempts == len(seen) == 3
    assert seen == {shared.cell.id: Resources(), plan[1].cell.id: Resources(), bad.cell.id: there}
    assert [share.line for share in summary.suites] == ["a/x 2/2 done", "a/y 1/3 done, 2 failed"]


def test_the_cell_from_which_the_longest_way_leads_starts_first(store: Store) -> None:
    leaf, more = act("sleep", 5, seconds=0.0), family()
    assert inline([leaf, *more], store).exit_code == 0
    assert journal(store) == [each.cell.id for each in [*more[:2], leaf, more[2]]]


def test_children_start_when_their_parents_are_done(store: Store, execute: Execute) -> None:
    plan = family()
    other = act("sleep", seconds=0.0)
    assert execute([plan[2], other, plan[1], plan[0]], slots=3).exit_code == 0
    order = [i for i in journal(store) if i != other.cell.id]
    assert order == [one.cell.id for one in plan]
    used = attempts(store, plan[1])[0].outcome.provenance.parents["start"]
    made = attempts(store, plan[0])[0].outcome.artifacts["checkpoint"]
    assert used == {
        "id": plan[0].cell.id, "artifact": "checkpoint", "attempt": 1, "sha256": made.sha256,
    }  # fmt: skip


def test_only_what_others_start_from_keeps_its_checkpoint(store: Store) -> None:
    plan = family()
    inline(plan, store)
    kept = [bool(attempts(store, one)[0].outcome.artifacts) for one in plan]
    assert kept == [True, True, False]


def test_all_keep_their_checkpoints_if_asked(store: Store) -> None:
    inline([act("sleep", seconds=0)], store, keep=frozenset({"checkpoint"}))
    assert attempts(store, act("sleep", seconds=0))[0].outcome.artifacts


def test_a_patch_is_asked_of_those_alone_that_train_a_part(store: Store) -> None:
    whole = act("sleep", seconds=0)
    work = replace(whole.cell.work, trainable=Use(name="head"))
    part = planned(replace(whole.cell, work=work))
    for _ in range(2):
        inline([whole, part], store, keep=frozenset({"patch"}))
    # One attempt each: what cannot leave a patch does not lack one.
    kept = [list(one.outcome.artifacts) for cell in (whole, part) for one in attempts(store, cell)]
    assert kept == [[], ["patch"]]


def test_a_failed_parent_fails_its_children_at_once(store: Store, execute: Execute) -> None:
    stage = cell(1, {"user": {}})
    child = planned(cell(2, parents={"start": Parent(stage.id)}), 1)
    grandchild = planned(cell(3, parents={"start": Parent(child.cell.id)}), 2)
    summary = execute([planned(stage), child, grandchild, act("sleep", seconds=0)])
    assert summary.done == 1
    assert {failed.planned.cell.id for failed in summary.failures} == {
        stage.id, child.cell.id, grandchild.cell.id,
    }  # fmt: skip
    assert failure(store, child).kind == failure(store, grandchild).kind == "parent"
    assert stage.id[:8] in failure(store, child).message
    assert "the folder is empty" in failure(store, child).message
    # The next run says the same, once.
    execute([planned(stage), child, grandchild])
    assert len(attempts(store, child)) == 1


def test_children_wait_while_their_parent_is_tried_again(store: Store, execute: Execute) -> None:
    stage = cell(1, {"raise": {"until": 1}})
    child = planned(cell(2, parents={"start": Parent(stage.id)}), 1)
    assert execute([planned(stage), child]).exit_code == 0
    assert [r.outcome.status for r in attempts(store, child)] == ["done"]


# Retries


@pytest.mark.parametrize("name", ["raise", "crash", "die"])
@pytest.mark.parametrize(("retries", "executed"), [(0, 1), (1, 2), (2, 3)])
def test_a_crash_is_tried_again_as_often_as_asked(
    store: Store, execute: Execute, name: str, retries: int, executed: int
) -> None:
    bad = act(name)
    assert execute([bad], retries=retries).exit_code == 1
    assert [r.attempt for r in attempts(store, bad)] == list(range(1, executed + 1))


def test_a_second_attempt_may_succeed(store: Store, execute: Execute) -> None:
    shaky = act("die", until=1)
    summary = execute([shaky])
    assert (summary.exit_code, summary.done, summary.attempts) == (0, 1, 2)
    assert summary.failures == ()


@pytest.mark.parametrize("name", ["user", "nan"])
def test_what_would_happen_again_is_not_tried_again(store: Store, name: str) -> None:
    assert inline([act(name)], store, retries=5).exit_code == 1
    assert len(attempts(store, act(name))) == 1


def test_a_new_run_tries_failed_cells_again(store: Store) -> None:
    bad = act("raise", until=2)
    assert inline([bad], store).exit_code == 1
    assert inline([bad], store).exit_code == 0
    assert [r.outcome.status for r in attempts(store, bad)] == ["failed", "failed", "done"]


def test_out_of_memory_is_tried_again_alone_on_its_device(store: Store, execute: Execute) -> None:
    plan = [act("crowded-oom", seed, seconds=0.5) for seed in range(4)]
    devices = [Device("cuda:0", "0", 2), Device("cuda:1", "1", 2)]
    assert execute(plan, devices=devices).exit_code == 0
    records = [attempts(store, one) for one in plan]
    assert sum(r[0].outcome.status == "failed" for r in records) >= 2
    assert all(r[-1].outcome.metrics["most"] == 1 for r in records)


def test_out_of_memory_alone_is_the_end_of_it(store: Store, execute: Execute) -> None:
    bad, good = act("oom"), [act("sleep", seed, seconds=0.0) for seed in range(5)]
    summary = execute([bad, *good], retries=5)
    assert summary.done == 5
    assert [r.attempt for r in attempts(store, bad)] == [1, 2]


class Recorder:
    """An engine of one page that executes nothing: jobs end as ``ends`` says, the oldest first."""

    blocking = False

    def __init__(self, devices: list[Device], ends: Callable[[Job], Outcome]) -> None:
        self.devices = devices
        self.ends = ends
        self.running: list[tuple[Job, Device]] = []
        self.started: list[tuple[int, str, bool, int]] = []

    def start(self, job: Job, device: Device) -> None:
        assert (job.device, job.threads) == (device.kind, device.threads)
        beside = sum(other == device for _, other in self.running)
        self.started.append((job.cell.seed, device.name, job.alone, beside))
        self.running.append((job, device))

    def poll(self, timeout: float) -> list[Ended]:
        if timeout < 0.1:
            # The runner waits for its records: what they say comes first.
            time.sleep(timeout)
            return []
        job, _ = self.running.pop(0)
        return [Ended(job, self.ends(job), 0.1)]

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        return []

    def close(self) -> None:
        assert not self.running


def test_the_runner_empties_the_device_for_a_cell_that_needs_it_alone(store: Store) -> None:
    devices = [Device("a", "0", 3), Device("b", "1", 1, threads=5)]

    def ends(job: Job) -> Outcome:
        if job.cell.seed == 0 and job.attempt == 1:
            return Outcome("failed", failure=Failure("out-of-memory", "too large"))
        return Outcome("done")

    engine = Recorder(devices, ends)
    assert run([act("sleep", seed) for seed in range(8)], store, engine).exit_code == 0
    assert engine.started[:4] == [(0, "a", False, 0), (1, "b", False, 0), (2, "a", False, 1),
                                  (3, "a", False, 2)]  # fmt: skip
    (again,) = [n for n, start in enumerate(engine.started[1:], 1) if start[0] == 0]
    assert engine.started[again] == (0, "a", True, 0)
    # Until then the other device goes on alone; while it runs, its device gets nothing more.
    assert {name for _, name, _, _ in engine.started[4:again]} <= {"b"}
    assert all(beside == 0 for _, name, _, beside in engine.started[again + 1 :][:2] if name == "a")


def test_a_device_gets_no_more_jobs_than_it_has_slots(store: Store) -> None:
    engine = Recorder([Device("a", "", 2), Device("b", "", 3)], lambda job: Outcome("done"))
    assert run([act("sleep", seed) for seed in range(20)], store, engine).done == 20
    assert max(beside for _, name, _, beside in engine.started if name == "a") == 1
    assert max(beside for _, name, _, beside in engine.started if name == "b") == 2


def test_each_cell_that_is_done_meanwhile_is_told_once_with_the_record_that_counts(
    store: Store,
) -> None:
    told: list[tuple[str, str, int]] = []
    wrong = act("raise", 9)

    def on_done(planned: PlannedCell, record: Record) -> None:
        told.append((planned.cell.id, record.id, record.attempt))

    def go(plan: list[PlannedCell]) -> None:
        run(plan, store, InlineEngine(target=TARGET), options=RunOptions(retries=0),
            on_done=on_done)  # fmt: skip

    go([*family(), wrong])
    assert told == [(p.cell.id, p.cell.id, 1) for p in family()]
    go([*family(), wrong])
    assert len(told) == 3


# Artifacts


def test_an_attempt_keeps_what_its_children_ask_for_by_name(store: Store) -> None:
    stage = cell(1)
    early = planned(cell(2, parents={"start": Parent(stage.id, "checkpoint@step 300")}), 1)
    late = planned(cell(3, parents={"start": Parent(stage.id)}), 1)
    assert inline([planned(stage), early, late], store).exit_code == 0
    (made,) = attempts(store, planned(stage))
    assert {name: a.file for name, a in made.outcome.artifacts.items()} == {
        "checkpoint": "0001.checkpoint.txt",
        "checkpoint@step 300": "0001.checkpoint@step%20300.txt",
    }
    used = attempts(store, early)[0].outcome.provenance.parents["start"]
    assert used["artifact"] == "checkpoint@step 300"
    assert used["sha256"] == made.outcome.artifacts["checkpoint@step 300"].sha256


def test_an_attempt_leaves_what_cells_outside_the_plan_will_ask_for(store: Store) -> None:
    """What is run later need not train its parent again."""
    stage = cell(1)
    plan = [planned(stage), planned(cell(2, parents={"start": Parent(stage.id)}), 1)]
    later = cell(3, parents={"start": Parent(stage.id, "checkpoint@start")})
    outside = {stage.id: frozenset({"checkpoint@start"})}
    engine = InlineEngine(target=TARGET)
    assert run(plan, store, engine, artifacts=outside).exit_code == 0
    (made,) = attempts(store, plan[0])
    assert set(made.outcome.artifacts) == {"checkpoint", "checkpoint@start"}
    inline([*plan, planned(later, 1)], store)
    assert len(attempts(store, plan[0])) == 1
    # Of a cell that is done without it, nothing is asked.
    elsewhere = {plan[1].cell.id: frozenset({"checkpoint"})}
    assert run(plan, store, InlineEngine(target=TARGET), artifacts=elsewhere).before == 2


def test_a_new_child_asks_a_done_parent_for_what_it_did_not_keep(store: Store) -> None:
    plan = family()[:2]
    inline(plan, store)
    early = planned(cell(9, parents={"start": Parent(plan[0].cell.id, "checkpoint@start")}), 1)
    states = store.states([p.cell for p in [*plan, early]], Expectations())
    assert states[plan[0].cell.id].state == "missing"
    summary = inline([*plan, early], store)
    assert (summary.attempts, summary.exit_code) == (2, 0)
    first, second = attempts(store, plan[0])
    # What the first attempt left is still there, and what started from it stays fresh.
    assert set(first.outcome.artifacts) == {"checkpoint"}
    assert set(second.outcome.artifacts) == {"checkpoint", "checkpoint@start"}
    files = sorted(path.name for path in store.layout.cell(plan[0].cell.id).path.glob("*.txt"))
    assert files == ["0001.checkpoint.txt", "0002.checkpoint.txt", "0002.checkpoint@start.txt"]
    assert len(attempts(store, plan[1])) == 1


def test_a_worker_does_not_start_from_bytes_that_changed_after_they_were_looked_at(
    store: Store,
) -> None:
    plan = family()[:2]

    class Spoils(InlineEngine):
        def start(self, job: Job, device: Device) -> None:
            for parent in job.parents.values():
                parent.path.write_text("x")
            super().start(job, device)

    summary = run(plan, store, Spoils(target=TARGET))
    assert summary.exit_code == 1
    assert "not those that were written" in failure(store, plan[1]).message


# Staleness


def test_stale_cells_are_executed_again(store: Store) -> None:
    one = act("sleep", seconds=0)
    path = store.layout.cell(one.cell.id).record(1)
    path.parent.mkdir(parents=True)
    path.write_text(dump_record(record(one.cell, data={"dataset": "old"})))
    assert inline([one], store).before == 1
    engine = InlineEngine(target=TARGET)
    summary = run(
        [one],
        store,
        engine,
        expectations=Expectations(data={"glyphs": "new"}),
    )
    assert summary.attempts == 1
    # The scripted target does not say on what data it was made: it is not taken for fresh.
    assert summary.exit_code == 1
    assert "stale at once (data)" in summary.failures[0].failure.message


def test_a_cell_whose_record_is_out_of_range_fails_and_says_so(store: Store) -> None:
    one = act("weigh", kilograms=57.0)
    engine = InlineEngine(target=TARGET)
    asked = Expectations(fractions=frozenset({"kilograms"}))
    (failed,) = run([one], store, engine, expectations=asked).failures
    assert "its record cannot be: kilograms is 57.0" in failed.failure.message


def test_a_parent_whose_artifact_is_gone_runs_again_only_if_needed(store: Store) -> None:
    plan = family()
    inline(plan[:2], store)
    checkpoint = store.layout.cell(plan[0].cell.id).artifact_path(1, "checkpoint", ".txt")
    checkpoint.unlink()
    assert inline(plan[:2], store).attempts == 0
    sibling = planned(cell(9, parents={"start": Parent(plan[0].cell.id)}), 1)
    summary = inline([*plan[:2], sibling], store)
    assert (summary.attempts, summary.exit_code) == (2, 0)
    assert len(attempts(store, plan[0])) == 2
    assert len(attempts(store, plan[1])) == 1


def test_a_parent_whose_artifact_is_another_ones_runs_again(store: Store) -> None:
    plan = family()
    inline(plan[:1] + plan[1:2], store)
    checkpoint = store.layout.cell(plan[0].cell.id).artifact_path(1, "checkpoint", ".txt")
    checkpoint.write_text("from another attempt")
    sibling = planned(cell(9, parents={"start": Parent(plan[0].cell.id)}), 1)
    assert inline([plan[0], sibling], store).exit_code == 0
    assert len(attempts(store, plan[0])) == 2


def test_a_parent_that_leaves_nothing_to_start_from_has_failed(store: Store) -> None:
    plan = family()[:2]
    engine = InlineEngine(target="tests.scheduling.fake_cells:noop")
    summary = run(plan, store, engine)
    assert summary.exit_code == 1
    assert "left no file" in summary.failures[0].failure.message
    assert summary.failures[1].failure.kind == "parent"


# Others on the same store


def test_a_cell_that_another_runner_has_is_waited_for(store: Store) -> None:
    plan = [act("sleep", seed, seconds=0) for seed in range(3)]
    taken = plan[1].cell
    with Leases(store.layout) as other:
        lease = other.claim(taken.id)
        assert lease is not None

        class CommitsLate(InlineEngine):
            def poll(self, timeout: float) -> list[object]:  # type: ignore[override]
                if len(journal(store)) == 2 and lease.folder.lease(1).exists():
                    other.commit(lease, record(taken))
                return super().poll(timeout)  # type: ignore[return-value]

        summary = run(plan, store, CommitsLate(target=TARGET), options=RunOptions(look_every=0.05))
    assert (summary.done, summary.elsewhere, summary.exit_code) == (2, 1, 0)
    assert taken.id not in journal(store)


def test_a_cell_that_another_runner_failed_at_is_not_begun_anew(store: Store) -> None:
    bad = act("sleep", seconds=0)
    with Leases(store.layout) as other:
        lease = other.claim(bad.cell.id)
        assert lease is not None

        class FailsLate(InlineEngine):
            def poll(self, timeout: float) -> list[object]:  # type: ignore[override]
                if lease.folder.lease(1).exists():
                    failed = act("user").cell
                    from bench.scheduling.engines.call import call
                    from bench.scheduling.job import Job

                    outcome = call(TARGET, Job(failed, 1, lease.folder.path))
                    made = record(bad.cell)
                    other.commit(
                        lease,
                        type(made)(made.cell, 1, made.started, made.ended, 0.0, outcome),
                    )
                return super().poll(timeout)  # type: ignore[return-value]

        summary = run([bad], store, FailsLate(target=TARGET), options=RunOptions(look_every=0.05))
    assert summary.exit_code == 1
    assert bad.cell.id not in journal(store)


def test_a_parent_missing_from_the_plan_is_said_before_anything_runs(store: Store) -> None:
    with pytest.raises(SpecError, match="parent"):
        inline(family()[1:], store)
    assert not store.root.exists()


def test_a_store_that_cannot_be_written_is_said_before_anything_runs(store: Store) -> None:
    store.root.mkdir()
    (store.root / "cells").write_text("a file")
    with pytest.raises(StoreError, match="--store"):
        inline([act("sleep", seconds=0)], store)
    assert not journal(store)


def test_a_done_plan_needs_no_writing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [act("sleep", seconds=0)]
    inline(plan, store)
    monkeypatch.setattr(Leases, "__enter__", lambda self: pytest.fail("it takes leases"))
    assert inline(plan, store).exit_code == 0


def test_a_broken_record_is_reported_and_its_cell_executed(store: Store) -> None:
    plan = [act("sleep", seconds=0)]
    path = store.layout.cell(plan[0].cell.id).record(1)
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 2, "ce')
    summary = inline(plan, store)
    assert (summary.done, summary.exit_code) == (1, 0)
    assert len(summary.broken) == 1
    assert summary.broken[0].startswith(str(path))
    assert [r.attempt for r in attempts(store, plan[0])] == [2]


def test_an_outcome_of_the_target_itself_is_kept(store: Store) -> None:
    engine = InlineEngine(target="tests.scheduling.fake_cells:failing")
    run([act("look")], store, engine)
    assert failure(store, act("look")).kind == "not-a-number"
    assert isinstance(attempts(store, act("look"))[0].outcome, Outcome)
