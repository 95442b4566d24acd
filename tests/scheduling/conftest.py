from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.scheduling.summary import RunSummary
from bench.spec.cell import PlannedCell
from tests.scheduling import fake_cells

Execute = Callable[..., RunSummary]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def execute(store: Store) -> Execute:
    """Run a plan on the local engine with scripted cells."""

    def executed(
        plan: Sequence[PlannedCell],
        *,
        slots: int = 2,
        devices: Sequence[Device] = (),
        retries: int = 1,
        expectations: Any = None,
        **engine: Any,
    ) -> RunSummary:
        local = LocalEngine(
            devices or [Device("cpu", "", slots)],
            target=fake_cells.TARGET,
            **{"grace": 0.3, "linger": 0.3, **engine},
        )
        options = RunOptions(retries=retries, look_every=0.1)
        return run(plan, store, local, options=options, expectations=expectations)

    return executed


@pytest.fixture(autouse=True)
def no_orphans(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, no process that executed one of its cells is left."""
    yield
    deadline = time.monotonic() + 20
    while left := [pid for pid in _workers(tmp_path) if alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


def _workers(folder: Path) -> set[int]:
    journals = folder.rglob("journal")
    lines = [line for journal in journals for line in journal.read_text().splitlines()]
    return {int(line.split()[2]) for line in lines} - {os.getpid()}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
