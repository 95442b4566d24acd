"""Commands on 100,000 generated records, against reading the same files as plain JSON.

`bench report`; `bench run` with nothing to do, `bench plan` and `bench status`.

The records are written to a real store, with curves, and the suite has a figure, a contrast and
claims: nothing on the way from files to page is left out. Needs about 1 GB of disk for a while.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.records.code import code_digests, units_of
from bench.records.codec import dump_record
from bench.records.layout import Layout
from bench.records.record import Curve, Outcome, Provenance, Record
from bench.spec.catalogue import entry
from bench.spec.plan import load_plan

SUITE = """
title: Many records
axes:
  backbone: test_resnet
  weights: random
  dataset: [glyphs, digits, fractals, glyphs-source]
  sampling_rate: [0.15, 0.30, 0.50, 0.75, 1.00]
  method: METHODS
  seed: SEEDS
recipe: {steps: 89, validation: 0.05, anytime: {}}
methods:
LISTED
figures:
  - title: Anytime
    lines: method
    columns: dataset
    panels: [{curve: anytime/test/top1}]
table:
  contrast: {axis: method, pairs: [[a, b], [c, d], [e, f]]}
profiles: {offline: {}}
"""
METHODS = "abcdefghij"
PAPER = """
id: many
title: Many records
claims:
  - id: each
    text: a is better than b.
    source: nowhere
    suite: table
    compare: [{axis: method, pairs: [[a, b], [c, d]]}]
    expect: greater
    refuted_by: It is worse.
  - id: early
    text: And it is so early.
    source: nowhere
    suite: table
    metric: anytime/test/top1
    at: {area: [0, 50], scale: log}
    readings: [{area: [0, 50]}, {step: end}]
    compare: [{axis: method, pairs: [[a, b]]}]
    expect: greater
    refuted_by: It is worse.
"""
STEPS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


def write_store(folder: Path, count: int) -> int:
    """Write a suite and the records of its cells; return how many."""
    suite = folder / "many" / "table.yaml"
    suite.parent.mkdir()
    listed = (f"  {m}: {{penalties: {{l2: {{weight: 1e-{i}}}}}}}" for i, m in enumerate(METHODS))
    text = SUITE.replace("METHODS", f"[{', '.join(METHODS)}]").replace("LISTED", "\n".join(listed))
    suite.write_text(text.replace("SEEDS", str(count // (4 * 5 * len(METHODS)))))
    (suite.parent / "paper.yaml").write_text(PAPER)
    draw, layout, plan = random.Random(0), Layout(folder / "store"), load_plan(suite)
    cells = plan.unique().values()
    known: dict[int, dict[str, str]] = {}
    for cell in cells:
        if id(cell.work) not in known:
            known[id(cell.work)] = code_digests(units_of(cell, plan.resources))
        code = known[id(cell.work)]
        level = draw.gauss(0.5, 0.05)
        values = tuple(level * step / 89 for step in STEPS)
        curve = Curve(STEPS, values)
        outcome = Outcome(
            "done",
            metrics={
                "test/top1": level, "test/top5": level, "test/loss": 1.0,
                "features/distance": 1.0, "head/norm": 2.0,
            },
            curves={"anytime/test/top1": curve, "train/loss": curve, "head/norm": curve},
            provenance=Provenance(code=code, data={"dataset": entry(cell.dataset).digest}),
        )  # fmt: skip
        record = Record(
            cell.to_json(), 1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:12Z", 12.5, outcome
        )
        path = layout.cell(cell.id).record(1)
        path.parent.mkdir(parents=True)
        path.write_text(dump_record(record))
    return len(cells)


def main() -> None:
    """Print the times, their ratio to reading alone, and the memory."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = write_store(folder, count)
        start = time.process_time()
        for file in (folder / "store" / "cells").glob("*/*/0001.json"):
            json.loads(file.read_bytes())
        plain = time.process_time() - start
        print(f"{written:,} records: reading their files alone takes {plain:.1f} s")
        suite, store = str(folder / "many/table.yaml"), ["--store", str(folder / "store")]
        for command in (["report", "--to", str(folder / "pages")], ["run"], ["plan"], ["status"]):
            verb, *more = command
            cpu, wall, memory = _cost([verb, suite, *store, *more])
            print(
                f"{verb}: {cpu:.1f} s of processor time, {wall:.1f} s of wall time, "
                f"{memory:.2f} GB; ratio {cpu / plain:.1f}"
            )


def _cost(arguments: list[str]) -> tuple[float, float, float]:
    """Return a command's processor and wall time in seconds, and its memory in GiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments], stdout=subprocess.DEVNULL, env=os.environ
    )
    # Of this child alone: the largest of several would be told again and again.
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, arguments)
    wall = time.perf_counter() - start
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
