"""Runs a plan of cells that sleep, on the local engine. Run as a process, to be killed."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.spec.cell import Parent, PlannedCell
from tests.records.built import cell, planned
from tests.scheduling import fake_cells


def plan(acts: list[list[Any]]) -> list[PlannedCell]:
    """Return a cell for each ``[act, arguments, number of its parent or null]``."""
    cells: list[PlannedCell] = []
    for seed, (name, arguments, parent) in enumerate(acts):
        roles = {} if parent is None else {"start": Parent(cells[parent].cell.id)}
        level = 0 if parent is None else cells[parent].level + 1
        cells.append(planned(cell(seed, {name: arguments}, parents=roles), level))
    return cells


def main(store: str, acts: str, slots: str, grace: str, together: str, ttl: str) -> int:
    """Run; with 0 slots inline, and not before so many runners are ready."""
    engine = (
        LocalEngine([Device("cpu", "", int(slots))], target=fake_cells.TARGET, grace=float(grace))
        if int(slots)
        else InlineEngine(target=fake_cells.TARGET)
    )
    Path(store, f"ready.{os.getpid()}").touch()
    while len(list(Path(store).glob("ready.*"))) < int(together):
        time.sleep(0.01)
    options = RunOptions(look_every=0.05)
    summary = run(
        plan(json.loads(acts)), Store(Path(store), ttl=float(ttl)), engine, options=options
    )
    told = {**asdict(summary), "failures": len(summary.failures)}
    print(json.dumps(told))
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
