"""No room for a process is no failure of a cell: it waits, and the run says so."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import NoRoom
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.job import Job
from bench.scheduling.options import RunOptions
from bench.scheduling.room import Room
from bench.scheduling.run import run
from tests.scheduling import fake_cells
from tests.scheduling.test_local import act, attempts

ROOT = Path(__file__).parents[2]


class Cramped(InlineEngine):
    """Refuses so many times before each start."""

    def __init__(self, refusals: int) -> None:
        super().__init__(Device("cpu", "", 1), target=fake_cells.TARGET)
        self.refusals = self.left = refusals

    def start(self, job: Job, device: Device) -> None:
        if self.left:
            self.left -= 1
            raise NoRoom("Too many open files")
        self.left = self.refusals
        super().start(job, device)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bench.scheduling.runner.Room", lambda patience: Room(again=0.01, patience=1)
    )


@pytest.mark.usefixtures("quick")
def test_a_cell_that_finds_no_room_waits_and_loses_no_attempt(store: Store) -> None:
    plan = [act("sleep", seed, seconds=0) for seed in range(3)]
    summary = run(plan, store, Cramped(2), options=RunOptions(retries=0))
    assert (summary.done, summary.attempts, summary.exit_code) == (3, 3, 0)
    assert [r.attempt for one in plan for r in attempts(store, one)] == [1, 1, 1]


@pytest.mark.usefixtures("quick")
def test_a_machine_without_room_for_one_process_is_an_error_that_says_why(store: Store) -> None:
    one = act("sleep", seconds=0)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"can be started: Too many open files\n.*ulimit"):
        run([one], store, Cramped(10**9))
    assert time.monotonic() - start >= 1
    assert attempts(store, one) == []
    assert not list(store.root.rglob("*.lease"))


def test_while_something_runs_there_is_patience_without_end() -> None:
    room = Room(again=0, patience=0)
    assert room.refused(NoRoom("full"), 1)
    # Said once.
    assert not room.refused(NoRoom("full"), 1)
    with pytest.raises(UserError, match="full"):
        room.refused(NoRoom("full"), 0)


def test_room_is_looked_for_when_something_has_ended() -> None:
    room = Room(again=600)
    assert room.open
    room.refused(NoRoom("full"), 1)
    assert not room.open
    room.freed()
    assert room.open


# Forty cells at a time, with a table of descriptors for a few of them.
FEW = """
    import json, os, resource, sys
    from pathlib import Path
    from bench.records.store import Store
    from bench.scheduling.device import Device
    from bench.scheduling.engines.local import LocalEngine
    from bench.scheduling.options import RunOptions
    from bench.scheduling.run import run
    from tests.scheduling import fake_cells
    from tests.scheduling.test_local import act

    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 60, open_now + 60))
    plan = [act("sleep", seed, seconds=0.2) for seed in range(40)]
    engine = LocalEngine([Device("cpu", "", 40)], target=fake_cells.TARGET)
    summary = run(plan, Store(Path(sys.argv[1])), engine, options=RunOptions(retries=0))
    print(json.dumps([summary.done, summary.attempts, len(summary.failures)]))
"""


def test_a_full_table_of_descriptors_fails_no_cell(store: Store) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FEW), str(store.root)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout.strip() == "[40, 40, 0]", ran.stderr
    # All at once they had had no place.
    assert len((store.root / "journal").read_text().splitlines()) == 40


def test_a_fork_that_is_refused_fails_no_cell_and_ends_no_server(
    store: Store,
) -> None:
    plan = [act("sleep", seed, seconds=0.05) for seed in range(6)]
    engine = LocalEngine([Device("cpu", "", 3)], target="tests.scheduling.scarce:done", grace=0.3)
    summary = run(plan, store, engine, options=RunOptions(retries=0))
    assert (summary.done, summary.attempts, summary.exit_code) == (6, 6, 0)
    # Every other fork was refused, and the server that answered it went on.
    servers = {attempts(store, one)[0].outcome.metrics["server"] for one in plan}
    assert len(servers) == 1
