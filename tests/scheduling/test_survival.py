"""Workers and runners killed at any moment: every cell is done once, and nobody is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records.lease import TIME_TO_LIVE
from bench.records.store import Store
from bench.scheduling.engines.forking import UNSEEN, ForkServer, Nursery, Process
from bench.scheduling.job import Job
from tests.scheduling import fake_cells
from tests.scheduling.conftest import alive
from tests.scheduling.runner import plan

ROOT = Path(__file__).parents[2]
# Two stages, and cells that start from the first.
ACTS: list[list[Any]] = [["sleep", {"seconds": 0.05}, None] for _ in range(2)]
ACTS += [["sleep", {"seconds": 0.02 * (n % 4)}, 0 if n % 3 == 0 else None] for n in range(30)]


class Runner:
    """A runner in a process of its own."""

    def __init__(
        self,
        store: Store,
        acts: list[list[Any]],
        slots: int = 2,
        *,
        grace: float = 0.5,
        together: int = 1,
        ttl: float = TIME_TO_LIVE,
        hangup: signal.Handlers = signal.SIG_DFL,
    ) -> None:
        self.store = store
        command = [sys.executable, "-m", "tests.scheduling.runner", str(store.root)]
        # What these tests were started with, such as `nohup`, is not the runner's.
        before = signal.signal(signal.SIGHUP, hangup)
        try:
            self.process = subprocess.Popen(
                [*command, json.dumps(acts), str(slots), str(grace), str(together), str(ttl)],
                cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGHUP, before)

    def wait(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=120)
        return json.loads(out) if out else {}

    def workers(self) -> list[int]:
        """Return the workers that live."""
        journal = self.store.root / "journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [pid for pid in {int(line.split()[2]) for line in lines} if alive(pid)]

    def wait_for_workers(self, count: int = 1) -> list[int]:
        deadline = time.monotonic() + 60
        while len(found := self.workers()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return found


@pytest.fixture
def running(store: Store) -> Iterator[list[Runner]]:
    store.root.mkdir()
    runners: list[Runner] = []
    yield runners
    for runner in runners:
        if runner.process.poll() is None:
            runner.process.kill()
        runner.wait()


def done_records(store: Store, acts: list[list[Any]]) -> list[int]:
    return [sum(r.done for r in store.attempts(p.cell.id)) for p in plan(acts)]


def gone(pids: list[int], within: float) -> bool:
    deadline = time.monotonic() + within
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_workers_killed_at_random_moments(store: Store, running: list[Runner]) -> None:
    acts = [["sleep", {"seconds": 0.15}, None] for _ in range(24)]
    runner = Runner(store, acts)
    running.append(runner)
    chance = random.Random(1)
    killed = 0
    while runner.process.poll() is None and killed < 6:
        time.sleep(chance.uniform(0, 0.2))
        for pid in runner.workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed += 1
    summary = runner.wait()
    assert killed == 6
    # A cell may have been hit twice; that is a failure, with its reason, and no more.
    assert summary["done"] + summary["failures"] == 24
    assert summary["done"] >= 20
    records = [r for p in plan(acts) for r in store.attempts(p.cell.id)]
    assert sum(r.done for r in records) == summary["done"]
    signals = [r.outcome.failure.message for r in records if r.outcome.failure]
    # Some were hit when they had reported already.
    assert 0 < len(signals) <= killed
    assert all("SIGKILL" in message for message in signals)


def test_the_runner_killed_at_random_moments_and_run_again(
    store: Store, running: list[Runner]
) -> None:
    chance = random.Random(2)
    for _ in range(3):
        runner = Runner(store, ACTS)
        running.append(runner)
        runner.wait_for_workers()
        time.sleep(chance.uniform(0, 0.25))
        workers = runner.workers()
        runner.process.kill()
        runner.wait()
        assert gone(workers, within=20)
    last = Runner(store, ACTS)
    running.append(last)
    assert last.wait()["failures"] == 0
    assert last.process.returncode == 0
    assert done_records(store, ACTS) == [1] * len(ACTS)
    assert not store.broken


def test_a_killed_runner_takes_a_worker_that_holds_the_gil_along(
    store: Store, running: list[Runner]
) -> None:
    runner = Runner(store, [["hold-gil", {}, None]])
    running.append(runner)
    workers = runner.wait_for_workers()
    time.sleep(0.2)
    runner.process.kill()
    runner.wait()
    assert gone(workers, within=20)


def test_a_killed_runner_takes_along_what_its_workers_started(
    store: Store, running: list[Runner]
) -> None:
    runner = Runner(store, [["litter", {"seconds": 60}, None]])
    running.append(runner)
    both = runner.wait_for_workers(2)
    runner.process.kill()
    runner.wait()
    assert gone(both, within=20)


def test_a_killed_fork_server_costs_no_attempt(store: Store, running: list[Runner]) -> None:
    acts = [["sleep", {"seconds": 0.3}, None] for _ in range(6)]
    runner = Runner(store, acts)
    running.append(runner)
    worker = runner.wait_for_workers(2)[0]
    server = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(server, signal.SIGKILL)
    summary = runner.wait()
    # Its workers go on: not one attempt is lost.
    assert (summary["done"], summary["attempts"]) == (6, 6)
    assert runner.process.returncode == 0


def _exit_code(nursery: Nursery, process: Process) -> int:
    deadline = time.monotonic() + 60
    while (code := nursery.exit_code(process)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.close(process.report)
    os.close(process.output)
    return code


def _job(folder: Path, act: str) -> Job:
    cell_folder = folder / "cells" / "ab" / "abc"
    cell_folder.mkdir(parents=True, exist_ok=True)
    return Job(plan([[act, {}, None]])[0].cell, 1, cell_folder)


def test_a_server_that_dies_as_it_forks_starts_no_worker_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery = Nursery(fake_cells.TARGET, [])
    answer = ForkServer._answer

    def dies(server: ForkServer) -> int:
        answer(server)
        monkeypatch.undo()
        raise ConnectionResetError

    monkeypatch.setattr(ForkServer, "_answer", dies)
    process = nursery.start(_job(tmp_path, "look"), {"CUDA_VISIBLE_DEVICES": ""})
    assert _exit_code(nursery, process) == UNSEEN
    lines = (tmp_path / "journal").read_text().splitlines()
    assert [int(line.split()[2]) for line in lines] == [process.pid]
    nursery.close()


def test_a_server_that_dies_before_it_forks_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery = Nursery(fake_cells.TARGET, [])
    launch = ForkServer._launch
    launched = []

    def dead(server: ForkServer) -> Any:
        channel = launch(server)
        launched.append(server._process)
        if len(launched) == 1:
            server._process.kill()  # type: ignore[union-attr]
            server._process.wait()  # type: ignore[union-attr]
        return channel

    nursery._server.bury()
    monkeypatch.setattr(ForkServer, "_launch", dead)
    process = nursery.start(_job(tmp_path, "look"), {"CUDA_VISIBLE_DEVICES": ""})
    assert _exit_code(nursery, process) == 0
    assert len(launched) == 2
    assert len((tmp_path / "journal").read_text().splitlines()) == 1
    nursery.close()


def test_workers_have_one_thread_whatever_the_runners_environment_says(
    store: Store, running: list[Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    acts: list[list[Any]] = [["look", {}, None]]
    running.append(Runner(store, acts))
    running[0].wait()
    (record,) = store.attempts(plan(acts)[0].cell.id)
    assert record.outcome.metrics["threads"] == 1


def test_two_runners_split_the_work(store: Store, running: list[Runner]) -> None:
    running += [Runner(store, ACTS, together=2), Runner(store, ACTS, together=2)]
    one, two = (runner.wait() for runner in running)
    assert [runner.process.returncode for runner in running] == [0, 0]
    assert one["done"] + two["done"] == len(ACTS)
    assert one["done"] + one["elsewhere"] + one["before"] == len(ACTS)
    assert one["done"] > 0
    assert two["done"] > 0
    assert done_records(store, ACTS) == [1] * len(ACTS)
    assert len((store.root / "journal").read_text().splitlines()) == len(ACTS)


def test_the_other_runner_takes_over_what_a_killed_one_had(
    store: Store, running: list[Runner]
) -> None:
    running += [Runner(store, ACTS), Runner(store, ACTS)]
    running[0].wait_for_workers(2)
    running[0].process.kill()
    assert running[1].wait()["failures"] == 0
    assert running[1].process.returncode == 0
    assert done_records(store, ACTS) == [1] * len(ACTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_stops_everything_and_is_recorded(
    store: Store, running: list[Runner], number: signal.Signals
) -> None:
    acts = [["sleep", {"seconds": 60}, None] for _ in range(4)]
    runner = Runner(store, acts)
    running.append(runner)
    workers = runner.wait_for_workers(2)
    start = time.monotonic()
    # A terminal sends Ctrl-C to the whole group.
    if number == signal.SIGINT:
        os.killpg(runner.process.pid, number)
    else:
        os.kill(runner.process.pid, number)
    summary = runner.wait()
    assert time.monotonic() - start < 30
    assert runner.process.returncode == 130
    assert summary["interrupted"]
    assert summary["unfinished"] == 4
    assert gone(workers, within=0)
    records = [r for p in plan(acts) for r in store.attempts(p.cell.id)]
    assert [r.outcome.status for r in records] == ["cancelled", "cancelled"]
    assert not list(store.root.rglob("*.lease"))
    assert not list((store.root / "runners").iterdir())


def test_a_second_interrupt_does_not_wait(store: Store, running: list[Runner]) -> None:
    runner = Runner(store, [["hang", {}, None]], grace=300)
    running.append(runner)
    workers = runner.wait_for_workers()
    time.sleep(0.2)
    runner.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert gone(workers, within=0) is False
    runner.process.send_signal(signal.SIGINT)
    assert gone(workers, within=30)
    runner.wait()
    assert runner.process.returncode == 130


def test_the_inline_engine_is_interrupted_too(store: Store, running: list[Runner]) -> None:
    acts = [["sleep", {"seconds": 60}, None] for _ in range(2)]
    runner = Runner(store, acts, slots=0)
    running.append(runner)
    runner.wait_for_workers()
    time.sleep(0.1)
    runner.process.send_signal(signal.SIGINT)
    summary = runner.wait()
    assert runner.process.returncode == 130
    assert (summary["unfinished"], summary["failures"]) == (2, 0)
    records = [r for p in plan(acts) for r in store.attempts(p.cell.id)]
    assert [r.outcome.status for r in records] == ["cancelled"]


def test_a_stopped_runner_is_passed_over_and_finds_nothing_done_twice(
    store: Store, running: list[Runner]
) -> None:
    acts = [["sleep", {"seconds": 0.2}, None] for _ in range(8)]
    stopped = Runner(store, acts)
    running.append(stopped)
    stopped.wait_for_workers(2)
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        other = Runner(store, acts, ttl=1.0)
        running.append(other)
        summary = other.wait()
        assert (other.process.returncode, summary["unfinished"]) == (0, 0)
        assert done_records(store, acts) == [1] * 8
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    late = stopped.wait()
    assert stopped.process.returncode == 0
    assert late["done"] + summary["done"] == 8
    assert done_records(store, acts) == [1] * 8
    assert not list(store.root.rglob("*.lease"))


def test_a_runner_whose_terminal_hangs_up_under_nohup_goes_on(
    store: Store, running: list[Runner]
) -> None:
    runner = Runner(store, [["sleep", {"seconds": 0.5}, None]], hangup=signal.SIG_IGN)
    running.append(runner)
    runner.wait_for_workers()
    runner.process.send_signal(signal.SIGHUP)
    assert (runner.wait()["done"], runner.process.returncode) == (1, 0)
