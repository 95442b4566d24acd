"""A run on imitated GPUs: who shares one, where a cell is tried again, what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.records.record import Failure, Outcome, Record, Usage
from bench.records.store import Store
from bench.scheduling.backoff import Backoff
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Ended, NoRoom, cancelled
from bench.scheduling.engines.memory import Memory
from bench.scheduling.job import Job
from bench.scheduling.options import RunOptions
from bench.scheduling.packing import CONTEXT, kind_of
from bench.scheduling.placement import Placement
from bench.scheduling.progress import Silence
from bench.scheduling.queue import Queue
from bench.scheduling.run import run
from bench.scheduling.slots import Slots
from bench.scheduling.summary import RunSummary
from bench.spec.cell import PlannedCell
from tests.records.built import cell, planned
from tests.records.built import record as made
from tests.scheduling.test_tenancy import Clock

GIB = 1024**3
H200 = "NVIDIA H200"
Behave = Callable[[Job, Device, int], Outcome]


def gpus(count: int = 1, **given: object) -> tuple[Device, ...]:
    shown: dict[str, object] = {"slots": 8, "model": H200, "packed": True, **given}
    return tuple(Device(f"cuda:{n}", str(n), here=True, **shown) for n in range(count))  # type: ignore[arg-type]


def done(job: Job, device: Device, beside: int) -> Outcome:
    return Outcome("done")


def failing(kind: str, message: str = "so it is") -> Outcome:
    return Outcome("failed", failure=Failure(kind, message))  # type: ignore[arg-type]


@dataclass
class Imitation:
    """An engine in which one job ends at each look, the first of those that run."""

    devices: Sequence[Device]
    behave: Behave = done
    memory: Callable[[Job], Memory | None] = lambda job: Memory(
        H200, 100 * GIB, 20 * GIB, 19 * GIB, 20 * GIB
    )
    seconds: float = 1.0
    blocking: bool = False

    def __post_init__(self) -> None:
        self.running: list[tuple[Job, Device]] = []
        self.most: list[tuple[str, int]] = []
        self.started: list[tuple[Job, Device]] = []

    def start(self, job: Job, device: Device) -> None:
        self.running.append((job, device))
        self.started.append((job, device))
        self.most.append((job.cell.id, self._on(device)))

    def poll(self, timeout: float) -> list[Ended]:
        if not self.running:
            return []
        job, device = self.running.pop(0)
        outcome = self.behave(job, device, self._on(device))
        return [Ended(job, outcome, self.seconds, self.memory(job))]

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        ended = [Ended(job, cancelled(), 0.0) for job, _ in self.running]
        self.running.clear()
        return ended

    def close(self) -> None:
        pass

    def _on(self, device: Device) -> int:
        return sum(one.name == device.name for _, one in self.running)


class Told(Silence):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def cells(count: int, **given: object) -> list[PlannedCell]:
    return [planned(cell(seed, **given)) for seed in range(count)]  # type: ignore[arg-type]


def execute(
    plan: list[PlannedCell], store: Store, engine: Imitation, **options: object
) -> tuple[RunSummary, list[str]]:
    told = Told()
    found = run(plan, store, engine, options=RunOptions(**options), progress=told)  # type: ignore[arg-type]
    return found, told.notes


def records(store: Store, plan: Sequence[PlannedCell]) -> list[Record]:
    return [record for each in plan for record in store.attempts(each.cell.id)]


def test_the_first_of_a_kind_is_alone_and_then_they_share(store: Store) -> None:
    plan, engine = cells(6), Imitation(gpus())
    assert execute(plan, store, engine)[0].done == 6
    # The second starts when the first has ended; then there are two, as long as nothing is known
    # of what two bring.
    assert [count for _, count in engine.most[:3]] == [1, 1, 2]
    usages = [record.usage for record in records(store, plan)]
    assert all(usage is not None and usage.process == 20 * GIB for usage in usages)
    alone = [usage.alone for usage in usages if usage is not None]
    assert alone[0]
    assert not any(alone[1:])
    # Whoever was beside one says so too.
    by_id = {record.id: record.usage for record in records(store, plan)}
    for cell_id, usage in by_id.items():
        for other in usage.beside if usage is not None else ():
            neighbour = by_id[other]
            assert neighbour is not None
            assert cell_id in neighbour.beside


def test_without_a_word_of_the_driver_neighbours_are_recorded_all_the_same(store: Store) -> None:
    plan, engine = cells(3), Imitation(gpus(packed=False), memory=lambda job: None)
    execute(plan, store, engine)
    assert {count for _, count in engine.most} == {1, 2, 3}
    for record in records(store, plan):
        assert record.usage is not None
        assert record.usage.process is record.usage.reserved is None
        assert len(record.usage.beside) == 2
        assert record.usage.device == H200


def test_what_nobody_knows_the_memory_of_is_always_alone(store: Store) -> None:
    engine = Imitation(gpus(), memory=lambda job: None)
    execute(cells(4), store, engine)
    assert {count for _, count in engine.most} == {1}


def test_records_of_the_same_model_teach_a_later_run(store: Store) -> None:
    execute(cells(2), store, Imitation(gpus()))
    engine = Imitation(gpus())
    execute(cells(6), store, engine)
    assert [count for _, count in engine.most[:2]] == [1, 2]
    other = Imitation(gpus(model="NVIDIA A100"))
    execute(cells(9), store, other)
    assert [count for _, count in other.most[:2]] == [1, 1]


def test_who_may_have_neighbours_is_kept_to_what_its_kind_takes(store: Store) -> None:
    engine = Imitation(gpus())
    execute(cells(5), store, engine)
    # The first one has all, and shows what it takes: 20 GiB, and a tenth more, of 100.
    first, *later = (job.memory_share for job, _ in engine.started)
    assert first == 1.0
    assert later == pytest.approx([0.22] * 4)
    fixed = Imitation(gpus(packed=False))
    execute(cells(7), store, fixed)
    assert {job.memory_share for job, _ in fixed.started} == {1.0}


def test_a_cell_that_its_share_does_not_do_for_has_all_the_next_time(store: Store) -> None:
    execute(cells(1), store, Imitation(gpus()))

    def act(job: Job, device: Device, beside: int) -> Outcome:
        return Outcome("done") if job.memory_share == 1.0 else failing("out-of-memory")

    engine = Imitation(gpus(), act)
    assert execute(cells(2), store, engine)[0].done == 1
    assert [round(job.memory_share, 2) for job, _ in engine.started] == [0.22, 1.0]


def test_on_the_cpu_nothing_is_recorded_of_it(store: Store) -> None:
    plan = cells(2)
    execute(plan, store, Imitation([Device("cpu", "", 2)]))
    assert [record.usage for record in records(store, plan)] == [None, None]


def test_a_driver_that_missed_the_peak_is_not_believed(store: Store) -> None:
    def memory(job: Job) -> Memory:
        return Memory(H200, 100 * GIB, 45 * GIB, 44 * GIB, 2 * GIB)

    engine = Imitation(gpus(), memory=memory)
    assert 2 * (45 * GIB + CONTEXT) * 1.1 > 100 * GIB
    execute(cells(4), store, engine)
    assert {count for _, count in engine.most} == {1}


def test_out_of_memory_in_company_is_tried_alone_and_the_kind_stays_alone(store: Store) -> None:
    plan = cells(8)

    def crowded(job: Job, device: Device, beside: int) -> Outcome:
        return failing("out-of-memory") if beside else Outcome("done")

    engine = Imitation(gpus(), crowded)
    assert execute(plan, store, engine)[0].done == 8
    again = [job for job, _ in engine.started if job.attempt > 1]
    assert again
    assert all(job.alone for job in again)
    # After the first that ran out, no two of the kind share a device.
    crowds = [n for n, (_, count) in enumerate(engine.most) if count > 1]
    assert len(crowds) <= 2


def test_alone_is_kept_through_another_failure(store: Store) -> None:
    (one,) = cells(1)

    def act(job: Job, device: Device, beside: int) -> Outcome:
        kinds = {1: "out-of-memory", 2: "error"}
        return failing(kinds[job.attempt]) if job.attempt in kinds else Outcome("done")

    engine = Imitation(gpus(), act)
    execute([one], store, engine)
    assert [job.alone for job, _ in engine.started] == [False, True, True]


def test_a_cell_is_tried_again_on_another_device(store: Store) -> None:
    def act(job: Job, device: Device, beside: int) -> Outcome:
        return failing("error") if device.name == "cuda:0" else Outcome("done")

    plan = cells(1)
    engine = Imitation(gpus(2), act)
    assert execute(plan, store, engine)[0].done == 1
    assert [device.name for _, device in engine.started] == ["cuda:0", "cuda:1"]


def test_a_dead_gpu_swallows_no_run(store: Store) -> None:
    """One of eight fails at once, all others take their time: no cell is lost by it."""

    class Dead(Imitation):
        def poll(self, timeout: float) -> list[Ended]:
            self.running.sort(key=lambda pair: pair[1].name != "cuda:3")
            return super().poll(timeout)

    def act(job: Job, device: Device, beside: int) -> Outcome:
        return failing("error", "ECC") if device.name == "cuda:3" else Outcome("done")

    plan = cells(40)
    engine = Dead(gpus(8, packed=False, slots=1), act)
    summary, notes = execute(plan, store, engine)
    assert (summary.done, summary.failures) == (40, ())
    assert sum(device.name == "cuda:3" for _, device in engine.started) == 2
    assert len(summary.benched) == 1
    assert "cuda:3 gets no more cells" in summary.benched[0]
    assert summary.benched[0] in notes


def test_like_failures_of_everything_stop_the_run(store: Store) -> None:
    plan = cells(30)

    def act(job: Job, device: Device, beside: int) -> Outcome:
        return failing("error", "the driver is too old\nin detail")

    summary, notes = execute(plan, store, Imitation(gpus(2, packed=False), act), retries=0)
    assert "10 cells failed alike" in summary.stopped
    assert len(summary.failures) == 10
    assert summary.unfinished == 20
    assert summary.exit_code == 1
    assert any(note.startswith("the run stops:") for note in notes)
    states = [record.outcome.status for record in records(store, plan)]
    assert states.count("failed") == 10


class Network:
    """A network that is away for so many attempts at a dataset, and a clock for waiting."""

    def __init__(self, away: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = away
        self.tried: list[str] = []
        self.clock = Clock()
        made = Backoff(clock=self.clock)
        original = Placement.__init__

        def with_clock(placement: Placement, *given: object, **more: object) -> None:
            original(placement, *given, **{**more, "backoff": made})  # type: ignore[arg-type]

        monkeypatch.setattr(Placement, "__init__", with_clock)

    def act(self, job: Job, device: Device, beside: int) -> Outcome:
        self.clock.now += 40.0
        if job.cell.dataset != "birds":
            return Outcome("done")
        self.tried.append(job.cell.id)
        if len(self.tried) <= self.away:
            return failing("network", "no route")
        return Outcome("done")


class Waiting(Imitation):
    """Time passes while nothing runs."""

    clock: Clock

    def poll(self, timeout: float) -> list[Ended]:
        if not self.running:
            self.clock.now += 5.0
        return super().poll(timeout)


def on_network(
    away: int, plan: list[PlannedCell], store: Store, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunSummary, Network]:
    monkeypatch.setattr("bench.scheduling.placement._AGAIN", 0.0)
    network = Network(away, monkeypatch)
    engine = Waiting([Device("cpu", "", 1)], network.act)
    engine.clock = network.clock
    return execute(plan, store, engine, retries=1)[0], network


def test_a_network_that_comes_back_costs_no_retry(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = [*cells(4, dataset="birds"), *cells(3, dataset="digits")]
    summary, network = on_network(3, plan, store, monkeypatch)
    assert (summary.done, summary.failures) == (7, ())
    # One cell has tried, and no other of the dataset.
    assert len(set(network.tried[:4])) == 1
    assert network.clock.now >= 100 + 30 + 120 + 600


def test_a_dataset_that_cannot_be_had_fails_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = [*cells(20, dataset="birds"), *cells(3, dataset="digits")]
    summary, network = on_network(99, plan, store, monkeypatch)
    assert summary.done == 3
    assert len(summary.failures) == 20
    assert {failed.failure.kind for failed in summary.failures} == {"network"}
    assert len(network.tried) == 4
    assert len(set(network.tried)) == 1
    # Of those that were not tried there is no record.
    assert len(records(store, plan)) == 4 + 3


def test_a_job_that_could_not_be_started_was_nobodys_neighbour(store: Store) -> None:
    class Full(Imitation):
        def start(self, job: Job, device: Device) -> None:
            if self.running:
                raise NoRoom("no processes")
            super().start(job, device)

    plan = cells(3)
    assert execute(plan, store, Full(gpus(packed=False)))[0].done == 3
    assert all(record.usage and record.usage.alone for record in records(store, plan))


def test_an_unknown_kind_is_not_passed_for_ever() -> None:
    """A cell that needs an idle device gets it, though others would fit meanwhile."""
    known, new = cells(30), cells(1, dataset="digits")
    queue = Queue([*known[:2], *new, *known[2:]])
    queue.open([])
    slots = Slots(gpus())
    placement = Placement(slots, {i: p.cell for i, p in queue.cells.items()})
    slots.packing.has_memory(H200, 100)
    slots.packing.took(H200, kind_of(known[0].cell), 10)
    order = []
    running: list[tuple[str, Device]] = []
    for _ in range(100):
        while (found := placement.next(queue, None)) is not None:
            placement.begin(*found, alone=False)
            running.append(found)
            order.append(found[0])
        if not running:
            break
        cell_id, device = running.pop(0)
        queue.done(cell_id)
        job = Job(queue.cells[cell_id].cell, 1, Path())
        placement.end(Ended(job, Outcome("done"), 1.0), device)
    assert order.index(new[0].cell.id) == 2
    assert len(order) == 31


def test_time_of_one_that_went_on_from_a_saved_state_says_nothing_of_sharing() -> None:
    plan = cells(3)
    usage = Usage(H200, 100 * GIB, 20 * GIB, 19 * GIB, 20 * GIB, (), 100.0)
    gone_on = Outcome("done", timings={"earlier_s": 100.0})
    known = [
        replace(made(one.cell), seconds=seconds, usage=usage, outcome=outcome)
        # Each was alone: the two had half of their work done before.
        for one, seconds, outcome in zip(
            plan, (100.0, 200.0, 200.0), (Outcome("done"), gone_on, gone_on), strict=True
        )
    ]
    placement = Placement(Slots(gpus()), {one.cell.id: one.cell for one in plan})
    placement.learn(known)
    packing, kind = placement.slots.packing, kind_of(plan[0].cell)
    assert packing.peak(H200, kind) == 20 * GIB
    assert packing.most(H200, kind) == 2
