"""``bench status`` tells an interrupted cell from a failed one, and which runner is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli.main import group
from bench.records.codec import dump_record
from bench.records.lease import Leases
from bench.records.owner import start_of, stopped_owners
from bench.records.store import Store
from bench.spec.find import find_suite
from bench.spec.plan import load_plan
from tests.records.built import record
from tests.records.test_lease import pretend

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(ROOT)
    return Store(tmp_path / "store")


def status(store: Store) -> Result:
    return CliRunner().invoke(
        group, ["status", "bss/table2", "-p", "smoke", "--store", str(store.root)]
    )


def test_an_interrupted_cell_is_listed_as_such(store: Store) -> None:
    stopped, failed, *_ = load_plan(find_suite("bss/table2"), "smoke").unique().values()
    for cell, how in ((stopped, "cancelled"), (failed, "failed")):
        path = store.layout.cell(cell.id).record(1)
        path.parent.mkdir(parents=True)
        path.write_text(dump_record(record(cell, 1, how)))  # type: ignore[arg-type]
    lines = status(store).output.splitlines()
    for cell, heading in ((stopped, "interrupted:"), (failed, "failed:")):
        assert cell.id in lines[lines.index(heading) + 1]


def test_a_stopped_runner_is_said_to_be_stopped(store: Store) -> None:
    cell = next(iter(load_plan(find_suite("bss/table2"), "smoke").unique()))
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        with Leases(store.layout) as leases:
            leases.claim(cell)
            pretend(leases, pid=sleeper.pid, start=start_of(sleeper.pid))
            assert "is stopped" not in status(store).output
            sleeper.send_signal(signal.SIGSTOP)
            while not stopped_owners(store.layout.runners):
                time.sleep(0.01)
            told = status(store).output
            assert f"by process {sleeper.pid} on {os.uname().nodename}, which is stopped" in told
            assert f"kill -CONT {sleeper.pid}" in told
            # Taken for dead, it has no cell any more, and is still told of.
            old = time.time() - 100
            os.utime(store.layout.runners / f"{leases.run}.json", (old, old))
            told = status(store).output
            assert "which is stopped" not in told
            assert f"kill -CONT {sleeper.pid}" in told
    finally:
        sleeper.kill()
        sleeper.wait()
