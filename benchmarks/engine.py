"""The local engine's cost of a cell, against a fresh interpreter with the same imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.records.record import Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.job import Job
from bench.spec.cell import Cell, Train
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Task

CELLS = 60
PRELOADED = ("bench.training.execute",)


def nothing(job: Job) -> Outcome:
    """Do nothing in a worker."""
    return Outcome("done")


def main() -> None:
    """Print seconds a cell for both, and the server's start."""
    with tempfile.TemporaryDirectory() as name:
        device = Device("cpu", "", 1)
        engine = LocalEngine([device], target="engine:nothing", preloaded=PRELOADED)
        task = Task(dataset="digits", objective=Use(name="classification"))
        part = {"trainable": Use(name="all"), "update": Use(name="gradient")}
        work = Train("x", "random", {"": task}, Recipe(), **part)
        times = []
        for number in range(CELLS + 1):
            cell = Cell(work, number)
            folder = Path(name) / cell.id
            folder.mkdir()
            start = time.perf_counter()
            engine.start(Job(cell, 1, folder), device)
            while not engine.poll(1.0):
                pass
            times.append(time.perf_counter() - start)
        engine.close()
    command = [sys.executable, "-c", f"import {PRELOADED[0]}"]
    fresh = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True)
        fresh.append(time.perf_counter() - start)
    ours, theirs = statistics.median(times[1:]), statistics.median(fresh)
    print(
        f"local engine {ours:.3f} s a cell (first, with the server's start, {times[0]:.1f} s); "
        f"a fresh interpreter {theirs:.2f} s: {theirs / ours:.0f} times"
    )


if __name__ == "__main__":
    main()
