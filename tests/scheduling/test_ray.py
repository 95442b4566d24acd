from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.files import file_sha256
from bench.records.record import Record
from bench.records.store import Store
from bench.scheduling.engines import forking
from bench.scheduling.engines import ray as engine_module
from bench.scheduling.engines.engine import EngineOptions
from bench.scheduling.engines.ray import RayEngine
from bench.scheduling.engines.remote import depot, facts, node
from bench.scheduling.engines.remote.cluster import Cluster
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.scheduling.summary import RunSummary
from bench.spec.cell import Parent, PlannedCell
from tests.records.built import cell, planned
from tests.scheduling import fake_cells
from tests.scheduling.fake_ray import FakeRay

RunOn = Callable[..., RunSummary]


@pytest.fixture(autouse=True)
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each imitated machine has a fork server of its own, as each real one has."""
    servers = []

    def server(preloaded: tuple[str, ...]) -> forking.ForkServer:
        servers.append(forking.ForkServer(preloaded))
        return servers[-1]

    monkeypatch.setattr(forking, "fork_server", server)
    monkeypatch.setattr(engine_module, "_LOOK_AT_CLUSTER", 0.05)
    monkeypatch.setattr(engine_module, "_LOOK", 0.05)
    folder = tmp_path / "machines"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    for each in servers:
        each.bury()


@pytest.fixture
def run_on(store: Store) -> RunOn:
    def run_on(ray: FakeRay, plan: Sequence[PlannedCell], *, retries: int = 1) -> RunSummary:
        return run(plan, store, engine(ray), options=RunOptions(retries=retries, look_every=0.1))

    return run_on


def engine(ray: FakeRay, *, join: float = 20.0, **options: Any) -> RayEngine:
    asked = EngineOptions("cpu", **{"workers": 2, **options})
    return RayEngine(Cluster(ray, cuda=False), asked, target=fake_cells.TARGET, join=join)


def family(*children: dict[str, Any]) -> list[PlannedCell]:
    """A cell, and children that start from its checkpoint."""
    first = planned(cell(0, {"weigh": {"kilograms": 1.0}}))
    roles = {"start": Parent(first.cell.id)}
    acts = enumerate(children, 1)
    return [first, *(planned(cell(s, act, parents=roles), 1) for s, act in acts)]


def records(store: Store, planned: PlannedCell) -> list[Record]:
    return list(store.attempts(planned.cell.id))


def test_cells_and_checkpoints_travel_and_the_store_is_as_if_all_had_run_here(
    run_on: RunOn, store: Store, machines: Path
) -> None:
    ray = FakeRay("a", "b")
    plan = family(*({"weigh": {"kilograms": float(n)}} for n in range(6)))

    summary = run_on(ray, plan)

    assert (summary.done, summary.failures) == (7, ())
    (first,) = records(store, plan[0])
    checkpoint = first.outcome.artifacts["checkpoint"]
    kept = store.layout.cell(plan[0].cell.id).artifact(checkpoint.file)
    assert file_sha256(kept) == checkpoint.sha256
    for number, child in enumerate(plan[1:]):
        (record,) = records(store, child)
        assert record.outcome.metrics == {"kilograms": float(number)}
        assert record.outcome.provenance.parents["start"]["sha256"] == checkpoint.sha256
        assert store.layout.cell(child.cell.id).log(1).exists()
    assert ray.calls["a", "start"]
    assert ray.calls["b", "start"]
    # Once into Ray's memory, whichever nodes have got it.
    assert ray.puts == 1
    # Nothing of the store's was written by a cell, and nothing stays on the machines.
    assert not list(store.root.rglob("journal"))
    assert not list(machines.iterdir())
    assert ray.left


def test_cells_of_a_lost_machine_run_again_and_it_is_none_of_their_retries(
    run_on: RunOn, store: Store
) -> None:
    ray = FakeRay("a", "b")
    plan = [planned(cell(seed, {"sleep": {"seconds": 0.4}})) for seed in range(4)]
    starts = threading.Semaphore(0)

    def lose_in_the_middle(node: str, name: str) -> None:
        if (node, name) == ("a", "start"):
            starts.release()

    ray.before = lose_in_the_middle

    def lose() -> None:
        starts.acquire()
        time.sleep(0.1)
        ray.lose("a")

    losing = threading.Thread(target=lose)
    losing.start()
    summary = run_on(ray, plan, retries=0)
    losing.join()

    assert (summary.done, summary.failures) == (4, ())
    attempts = [records(store, each) for each in plan]
    assert [each[-1].outcome.status for each in attempts] == ["done"] * 4
    lost = [each[0].outcome for each in attempts if len(each) > 1]
    assert lost
    assert {(o.status, o.failure.kind, o.failure.message) for o in lost if o.failure} == {
        ("cancelled", "interrupt", "host was lost")
    }


def test_a_cell_that_takes_machine_after_machine_along_fails(run_on: RunOn, store: Store) -> None:
    ray = FakeRay("a")
    machines = iter("bcdefg")

    def lose(node: str, name: str) -> None:
        if name == "start":
            ray.alive[next(machines)] = True
            ray.lose(node)

    ray.before = lose
    (only,) = plan = [planned(cell(0, {"sleep": {"seconds": 60.0}}))]

    summary = run_on(ray, plan, retries=0)

    statuses = [record.outcome.status for record in records(store, only)]
    assert statuses == ["cancelled", "cancelled", "failed"]
    assert "was lost 3 times" in summary.failures[0].failure.message


def test_a_machine_that_joins_later_is_used(run_on: RunOn) -> None:
    ray = FakeRay("a")
    ray.before = lambda node, name: ray.alive.setdefault("b", True) if name == "start" else None

    summary = run_on(ray, [planned(cell(s, {"sleep": {"seconds": 0.3}})) for s in range(10)])

    assert summary.done == 10
    assert ray.calls["b", "start"]


def test_a_checkpoint_that_comes_to_a_machine_with_other_bytes_is_not_started_from(
    run_on: RunOn, store: Store
) -> None:
    ray = FakeRay("a")
    ray.tamper = lambda name, value: value[:-1] + b"!" if name == "put" else value
    plan = family({"weigh": {"kilograms": 1.0}})

    summary = run_on(ray, plan, retries=0)

    assert summary.done == 1
    (failed,) = summary.failures
    assert "other bytes" in failed.failure.message


def test_a_checkpoint_that_came_with_other_bytes_is_sent_again(run_on: RunOn) -> None:
    ray = FakeRay("a")
    spoilt = iter([True])

    taken = depot.Depot.take

    def take(self: depot.Depot, tree: Any, content: bytes) -> None:
        taken(self, tree, content[1:] if next(spoilt, False) else content)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(depot.Depot, "take", take)
        summary = run_on(ray, family({"weigh": {"kilograms": 1.0}}))

    assert (summary.done, summary.attempts, summary.failures) == (2, 3, ())


def test_a_checkpoint_that_comes_back_with_other_bytes_is_no_artifact(
    run_on: RunOn, store: Store
) -> None:
    ray = FakeRay("a")
    ray.tamper = lambda name, value: value + b"!" if name == "fetch" else value

    summary = run_on(ray, family({"weigh": {"kilograms": 1.0}}), retries=0)

    assert summary.done == 0
    assert "other bytes" in summary.failures[0].failure.message


def test_a_record_that_names_other_bytes_than_came_is_not_done(run_on: RunOn) -> None:
    ray = FakeRay("a")

    def lie(name: str, value: Any) -> Any:
        if name != "look":
            return value
        return [replace(left, ended=_with_digest(left.ended, "0" * 64)) for left in value]

    ray.tamper = lie
    summary = run_on(ray, family({"weigh": {"kilograms": 1.0}}), retries=0)

    assert summary.done == 0
    assert "other bytes than its record says" in summary.failures[0].failure.message


def _with_digest(ended: Any, digest: str) -> Any:
    artifacts = {n: replace(a, sha256=digest) for n, a in ended.outcome.artifacts.items()}
    return replace(ended, outcome=replace(ended.outcome, artifacts=artifacts))


def test_crashes_time_limits_and_errors_are_told_as_by_the_local_engine(
    run_on: RunOn, store: Store
) -> None:
    acts: list[dict[str, Any]] = [{"crash": {}}, {"oom": {}}, {"user": {}}, {"exit": {"code": 3}}]
    plan = [planned(cell(seed, act)) for seed, act in enumerate(acts)]

    summary = run_on(FakeRay("a"), plan, retries=0)

    kinds = {f.planned.cell.seed: f.failure.kind for f in summary.failures}
    assert kinds == {0: "signal", 1: "out-of-memory", 2: "user-error", 3: "exit"}
    assert "about to touch" in store.layout.cell(plan[0].cell.id).log(1).read_text()


def test_stopping_ends_what_runs_elsewhere_and_keeps_its_log(store: Store) -> None:
    ray = FakeRay("a")
    runs = engine(ray)
    (device,) = runs.devices
    assert (device.name, device.slots, device.here) == ("host/cpu", 2, False)
    job = _job(store, {"hang": {}})
    runs.start(job, device)
    while not ray.calls["a", "start"] or not runs._members["a"].out:
        time.sleep(0.01)

    (ended,) = runs.stop(lambda: True)
    runs.close()

    assert (ended.job, ended.outcome.status) == (job, "cancelled")


def _job(store: Store, act: dict[str, Any]) -> Any:
    from bench.scheduling.job import Job

    it = cell(0, act)
    folder = store.layout.cell(it.id).path
    folder.mkdir(parents=True)
    return Job(it, 1, folder)


def test_a_machine_with_another_library_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = facts.facts_here(EngineOptions("cpu"))
    other = replace(there, versions={**there.versions, "timm": "0.1"})
    monkeypatch.setattr(node, "facts_here", lambda options: other)

    with pytest.raises(UserError, match=r"host: timm 0\.1 there, .* here"):
        engine(FakeRay("a"))


def test_a_machine_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = facts.facts_here(EngineOptions("cpu"))
    monkeypatch.setattr(node, "facts_here", lambda options: replace(there, code="0" * 64))

    with pytest.raises(UserError, match="Retable's code is other than here"):
        engine(FakeRay("a"))


def test_a_machine_that_asks_for_no_token_is_refused_where_one_must() -> None:
    cluster = Cluster(FakeRay("a"), asks_for_token=True, cuda=False)

    with pytest.raises(UserError, match="without RAY_AUTH_MODE=token"):
        RayEngine(cluster, EngineOptions("cpu"), target=fake_cells.TARGET)


def test_a_cell_that_needs_a_machine_alone_gets_another_when_that_is_lost(
    run_on: RunOn, store: Store
) -> None:
    ray = FakeRay("a")

    def lose(node: str, name: str) -> None:
        # After the attempt that ran out of memory, while the one alone is on its way.
        if name == "start" and ray.calls["a", "start"] == 2 and ray.alive["a"]:
            ray.alive["b"] = True
            ray.lose("a")

    ray.before = lose
    (only,) = plan = [planned(cell(0, {"oom": {"until": 1}}))]

    summary = run_on(ray, plan)

    statuses = [record.outcome.status for record in records(store, only)]
    assert (summary.done, statuses) == (1, ["failed", "cancelled", "done"])


def test_where_there_are_gpus_no_cell_runs_on_another_machines_processor() -> None:
    ray = FakeRay("a")
    without = ray.nodes()
    ray.gpus = 1
    with_gpu = [{**each, "NodeID": "b"} for each in ray.nodes()]
    ray.nodes = lambda: without + with_gpu  # type: ignore[method-assign]

    assert list(Cluster(ray).machines()) == ["b"]
    assert list(Cluster(ray, cuda=False).machines()) == ["a", "b"]
