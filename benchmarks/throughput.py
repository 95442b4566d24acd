"""Cells that do nothing, a second, by one runner; with a disk that takes its time for a fsync."""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.records.record import Outcome
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.job import Job
from bench.scheduling.run import run
from bench.spec.cell import Cell, PlannedCell, Train
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Task


def nothing(job: Job) -> Outcome:
    """Do nothing in a worker."""
    return Outcome("done")


def plan(cells: int) -> list[PlannedCell]:
    """Return cells without parents."""
    task = Task(dataset="digits", objective=Use(name="classification"))
    part = {"trainable": Use(name="all"), "update": Use(name="gradient")}
    work = Train("x", "random", {"": task}, Recipe(), **part)
    return [PlannedCell(Cell(work, seed), {}, seed, 0) for seed in range(cells)]


@contextmanager
def slow(delay: float) -> Iterator[None]:
    """Let each fsync of this process take so many seconds longer."""
    sync = os.fsync

    def late(descriptor: int) -> None:
        time.sleep(delay)
        sync(descriptor)

    os.fsync = late
    try:
        yield
    finally:
        os.fsync = sync


def measured(cells: int, workers: int, delay: float, folder: Path | None) -> tuple[float, ...]:
    """Return cells a second, and the runner's and the workers' milliseconds of CPU a cell."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        target, device = "throughput:nothing", Device("cpu", "", workers)
        # The fork server's start, and what is read once, are no cell's.
        run(plan(1), Store(Path(name, "first")), LocalEngine([device], target=target))
        engine = LocalEngine([device], target=target)
        start, cpu = time.monotonic(), time.process_time()
        with slow(delay):
            summary = run(plan(cells), Store(Path(name, "store")), engine)
        seconds = time.monotonic() - start
        assert summary.done == cells
        return cells / seconds, 1000 * (time.process_time() - cpu) / cells


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 10, 50], help="ms a fsync")
    parser.add_argument("--folder", type=Path, help="where the store is; default: a temporary one")
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {asked.cells:,} cells")
    print("| workers | ms a fsync | cells a second | runner's CPU, ms a cell |\n|---|---|---|---|")
    for workers in asked.workers:
        for delay in asked.delays:
            rate, cpu = measured(asked.cells, workers, delay / 1000, asked.folder)
            print(f"| {workers} | {delay:g} | {rate:.0f} | {cpu:.2f} |", flush=True)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"children that have ended: {children.ru_utime + children.ru_stime:.1f} s of CPU")


if __name__ == "__main__":
    main()
