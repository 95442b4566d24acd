"""A simulation of a million cells on a thousand GPUs: how long slots wait for scheduler and store.

Each cell is claimed, executed and recorded, at the costs of one that was measured; durations are
drawn from the records of the published bundles. Runners are queues of processor time, the file
server is one of operations. Nothing is executed.
"""

from __future__ import annotations

import argparse
import heapq
import random
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Slots of the largest size that is tried.
MOST = 100_000


@dataclass(frozen=True)
class Costs:
    """What a cell costs beside its own work.

    Attributes
    ----------
    claim_ops, record_ops, refused_ops
        Operations on files: to claim a cell, to write its record, to find that another has it.
    cpu
        Seconds of the runner's processor a cell: one process, one core.
    fork
        Seconds from the claim to the worker's first instruction.
    latency
        Seconds an operation takes on an idle server.
    rate
        Operations a second that the server can do.
    look_every
        Seconds between two looks at the bulletins of others.
    """

    claim_ops: int = 6
    record_ops: int = 16
    refused_ops: int = 6
    cpu: float = 0.0035
    fork: float = 0.01
    latency: float = 0.001
    rate: float = 20_000.0
    look_every: float = 30.0


@dataclass
class Queue:
    """A resource that does one thing after the other."""

    free: float = 0.0
    busy: float = 0.0

    def take(self, now: float, seconds: float) -> float:
        """Use it for so long, as soon as it is free; return when that ends."""
        self.free = max(now, self.free) + seconds
        self.busy += seconds
        return self.free


@dataclass(frozen=True)
class Told:
    """What a simulation has found: shares of the whole time."""

    waiting: float
    runner: float
    server: float
    hours: float
    cells_a_second: float


def simulate(
    runners: int, slots: int, cells: int, durations: list[float], costs: Costs, seed: int = 0
) -> Told:
    """Let runners of so many slots each do cells; look at all but the last tenth of them."""
    chance = random.Random(seed)
    server, cores = Queue(), [Queue() for _ in range(runners)]
    # What ends when: a slot of a runner, or (below zero) a runner's look at the others.
    events = [(chance.random(), runner) for runner in range(runners) for _ in range(slots)]
    if runners > 1:
        events += [(chance.uniform(0, costs.look_every), -1 - r) for r in range(runners)]
    heapq.heapify(events)
    begun, waited, worked, now = 0, 0.0, 0.0, 0.0
    last = int(0.9 * cells)
    running = runners * slots
    while begun < last:
        now, runner = heapq.heappop(events)
        if runner < 0:
            # A listing, and up to 64 bulletins opened, looked at and read; then a cell in eight.
            looked = 1 + 3 * min(runners, 64) + runners * slots / 8
            server.take(now, looked / costs.rate)
            after = costs.look_every * chance.uniform(0.75, 1.25)
            heapq.heappush(events, (now + after, runner))
            continue
        # The record is written by another thread: the slot waits for no disk.
        first = now < 1.0
        ops = costs.claim_ops
        if runners > 1:
            unknown = running * (1 - 1 / runners) + begun / max(now, 1.0) * costs.look_every / 2
            left = cells - begun
            while chance.random() < unknown / (unknown + left):
                ops += costs.refused_ops
        ready = server.take(now, ops / costs.rate) + ops * costs.latency
        if not first:
            server.take(now, costs.record_ops / costs.rate)
        start = cores[runner].take(ready, costs.cpu) + costs.fork
        lasts = chance.choice(durations)
        waited += start - now
        worked += lasts
        begun += 1
        heapq.heappush(events, (start + lasts, runner))
    return Told(
        waiting=waited / (waited + worked),
        runner=max(core.busy for core in cores) / now,
        server=server.busy / now,
        hours=now / 3600,
        cells_a_second=begun / now,
    )


def measured_durations(folder: Path) -> list[float]:
    """Return the seconds of all done records in the bundles below a folder."""
    found: list[float] = []
    for file in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(file) as bundle:
            for name in bundle.namelist():
                content = bundle.read(name)
                if b'"status":"done"' in content:
                    found += map(float, re.findall(rb'"seconds":([0-9.]+)', content))
    return found


def row(name: str, told: Told) -> str:
    """Return a line of the table."""
    return (
        f"| {name} | {told.waiting:.2%} | {told.runner:.0%} | {told.server:.0%} "
        f"| {told.cells_a_second:.0f} | {told.hours:.1f} |"
    )


def breaking(pilots: bool, durations: list[float], costs: Costs) -> str:
    """Return the first size, doubling, at which slots wait for more than a hundredth."""
    slots, told = 125, simulate(1, 8, 1000, durations, costs)
    while slots < MOST:
        runners = slots // 8 if pilots else 1
        each = 8 if pilots else slots
        told = simulate(runners, each, 15 * slots, durations, costs)
        if told.waiting > 0.01:
            break
        slots *= 2
    else:
        return f"no size up to {slots:,} slots"
    first = "the runner's processor" if told.runner > told.server else "the file server"
    return f"{slots:,} slots ({told.waiting:.1%} waiting; first at its end: {first})"


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--bundles", type=Path, default=ROOT / "leaderboards")
    parser.add_argument("--mean", type=float, nargs="+", help="scale durations to these means, s")
    asked = parser.parse_args()
    drawn = measured_durations(asked.bundles)
    own = sum(drawn) / len(drawn)
    print(f"{len(drawn):,} records, {own:.1f} s on average")
    head = "| setting | waiting | runner busy | server busy | cells a second | hours |"
    for mean in asked.mean or (own, 60.0, 600.0):
        durations = [seconds * mean / own for seconds in drawn]
        print(f"\n{mean:.1f} s a cell on average\n\n{head}\n|---|---|---|---|---|---|")
        for rate in (5_000.0, 20_000.0, 100_000.0):
            costs = replace(Costs(), rate=rate)
            server = f"{rate:,.0f} operations/s"
            pilots = simulate(125, 8, asked.cells, durations, costs)
            print(row(f"125 runners × 8, {server}", pilots), flush=True)
            one = simulate(1, 1000, asked.cells, durations, costs)
            print(row(f"1 runner × 1,000, {server}", one), flush=True)
        for name, many in (("Runners of 8", True), ("One runner", False)):
            size = breaking(many, durations, Costs())
            print(f"- {name} at 20,000 operations/s, over 1% from: {size}", flush=True)


if __name__ == "__main__":
    main()
