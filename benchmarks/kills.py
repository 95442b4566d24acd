"""Random kills, and five runners on one store: whether a cell is lost, done twice or unequal.

Cells are cheap and stand in for training: some start from others, and what each of them should
leave is known. It goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from bench.files import bytes_sha256, write_whole
from bench.records.artifacts import place, read_artifact
from bench.records.code import code_digests, units_of
from bench.records.record import Outcome, Provenance
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.job import Job
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.spec.cell import Cell, Parent, PlannedCell, Resources, Train
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Task

RUNNERS = 5
# What is killed, and how often beside the others.
VICTIMS = {"worker": 8, "fork server": 1, "runner": 1}


@cache
def plan(cells: int) -> tuple[PlannedCell, ...]:
    """Return cells of which each third starts from an earlier one."""
    task = Task(dataset="digits", objective=Use(name="classification"))
    part = {"trainable": Use(name="all"), "update": Use(name="gradient")}
    found: list[PlannedCell] = []
    for seed in range(cells):
        parent = found[seed // 2] if seed % 3 == 2 else None
        roles = {"start": Parent(parent.cell.id)} if parent else {}
        work = Train("x", "stage" if parent else "random", {"": task}, Recipe(), **part)
        level = parent.level + 1 if parent else 0
        found.append(PlannedCell(Cell(work, seed, roles), {}, seed, level))
    return tuple(found)


# Workers digest the code of their cells: it is read once, in the fork server.
code_digests(units_of(plan(1)[0].cell, Resources()))


def made_of(cell_id: str, parents: Mapping[str, bytes]) -> bytes:
    """Return what a cell leaves that starts from what its parents left."""
    return b"".join([cell_id.encode(), *(parents[role] for role in sorted(parents))])[:4096]


def score(content: bytes) -> float:
    """Return the metric of a cell that leaves this."""
    return int(bytes_sha256(content)[:8], 16) / 2**32


def execute(job: Job) -> Outcome:
    """Stand in for training."""
    time.sleep(0.05 * random.random())
    read = {role: read_artifact(p.path, p.sha256) for role, p in job.parents.items()}
    content = made_of(job.cell.id, read)
    kept = {
        name: place(job.folder, job.attempt, name, ".bin", lambda part: part.write_bytes(content))
        for name in job.keep
    }
    used = {
        r: {"id": p.id, "attempt": p.attempt, "sha256": p.sha256} for r, p in job.parents.items()
    }
    provenance = Provenance(parents=used)
    return Outcome("done", {"test/top1": score(content)}, provenance=provenance, artifacts=kept)


def runner(folder: Path, cells: int, slots: int) -> int:
    """Be a runner; return its exit code."""
    engine = LocalEngine([Device("cpu", "", slots)], target="kills:execute", grace=0.5)
    options = RunOptions(retries=10**6, look_every=0.1)
    return run(plan(cells), Store(folder), engine, options=options).exit_code


@dataclass
class Faults:
    """What should not be: cells without a done record, with several, and with other results."""

    lost: int = 0
    twice: int = 0
    unequal: int = 0

    def look(self, folder: Path, cells: int) -> None:
        """Add those of a store."""
        store = Store(folder)
        expected: dict[str, bytes] = {}
        for planned in plan(cells):
            cell = planned.cell
            parents = {role: expected[parent.id] for role, parent in cell.parents.items()}
            content = expected[cell.id] = made_of(cell.id, parents)
            done = [record.outcome for record in store.attempts(cell.id) if record.done]
            self.lost += not done
            self.twice += len(done) > 1
            self.unequal += any(
                outcome.metrics != {"test/top1": score(content)}
                or any(a.sha256 != bytes_sha256(content) for a in outcome.artifacts.values())
                for outcome in done
            )


@dataclass
class Progress:
    """What has been done so far; kept in a file."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    stores: int = 0
    rounds: int = 0
    cells: int = 0
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def read(cls, file: Path) -> Progress:
        """Return what a file says; nothing where there is none."""
        if not file.exists():
            return cls()
        told = json.loads(file.read_text())
        return cls(**{**told, "faults": Faults(**told["faults"])})

    def write(self, file: Path) -> None:
        """Keep it."""
        write_whole(file, json.dumps(asdict(self)) + "\n")


@contextmanager
def started(folder: Path, cells: int, slots: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a runner in a process of its own, and leave none behind."""
    arguments = ["--runner", "--folder", folder, "--cells", cells, "--slots", slots]
    process = subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)], stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def processes(runner: int) -> dict[str, list[int]]:
    """Return a runner, its fork server and its workers, where they live."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = file.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            parents.setdefault(int(parent), []).append(int(file.parent.name))
    servers = parents.get(runner, [])
    workers = [worker for server in servers for worker in parents.get(server, [])]
    return {"worker": workers, "fork server": servers, "runner": [runner]}


def kill_at_random(
    folder: Path, progress: Progress, kills: int, cells: int, chance: random.Random
) -> None:
    """Kill until there are enough kills, or all cells of the store are done."""
    while True:
        with started(folder, cells, 4) as process:
            while process.poll() is None and sum(progress.kills.values()) < kills:
                time.sleep(chance.uniform(0, 0.1))
                alive = processes(process.pid)
                if not alive["worker"]:
                    continue
                (what,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
                if process.poll() is None and alive[what]:
                    # What has ended meanwhile is no kill.
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(alive[what]), signal.SIGKILL)
                        progress.kills[what] += 1
            if process.wait() == 0:
                return


def compete(folder: Path, cells: int) -> None:
    """Let five runners work on one store until each has ended."""
    with started(folder, cells, 1) as first:
        others = [started(folder, cells, 1) for _ in range(RUNNERS - 1)]
        running = [first, *(other.__enter__() for other in others)]
        for process in running:
            process.wait()
        for other in others:
            other.__exit__(None, None, None)


def main() -> int:
    """Do what is left, print the figures; exit code 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("results-kills"))
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--cells", type=int, default=60, help="cells a store")
    parser.add_argument("--quick", action="store_true", help="10 kills, one round")
    parser.add_argument("--runner", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--slots", type=int, default=1, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.runner:
        return runner(asked.folder, asked.cells, asked.slots)
    kills, rounds, cells = (10, 1, 12) if asked.quick else (asked.kills, asked.rounds, asked.cells)
    asked.folder.mkdir(parents=True, exist_ok=True)
    file = asked.folder / "progress.json"
    progress = Progress.read(file)
    while sum(progress.kills.values()) < kills:
        store = asked.folder / f"kills-{progress.stores:04d}"
        kill_at_random(store, progress, kills, cells, random.Random(str(progress.kills)))
        progress.faults.look(store, cells)
        progress.cells += cells
        progress.stores += 1
        progress.write(file)
    while progress.rounds < rounds:
        store = asked.folder / f"round-{progress.rounds:04d}"
        compete(store, cells)
        progress.faults.look(store, cells)
        progress.cells += cells
        progress.rounds += 1
        progress.write(file)
    told = Counter(progress.kills)
    print(
        f"{told.total():,} kills ("
        + ", ".join(f"{count:,} of a {what}" for what, count in told.items())
        + f") over {progress.stores:,} stores, {progress.rounds:,} rounds of {RUNNERS} runners, "
        f"{progress.cells:,} cells: {progress.faults.lost} lost, {progress.faults.twice} done "
        f"twice, {progress.faults.unequal} with other bits than they should have"
    )
    return int(any(asdict(progress.faults).values()))


if __name__ == "__main__":
    sys.exit(main())
