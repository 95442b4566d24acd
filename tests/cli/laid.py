"""A suite and a store of its records, laid without training anything: a stage, and what goes on."""

from __future__ import annotations

import math
from pathlib import Path

from bench.data.folder_digest import dataset_digest
from bench.files import bytes_sha256
from bench.records.artifacts import place
from bench.records.code import code_digests, units_of
from bench.records.codec import dump_record
from bench.records.layout import CellFolder, Layout
from bench.records.record import Artifact, Curve, Outcome, Provenance, Record
from bench.spec.cell import Cell
from bench.spec.plan import Plan, load_plan

SUITE = """
title: Laid
stages:
  source: {weights: random, dataset: glyphs-source, method: a, seed: 0}
axes:
  backbone: test_resnet
  weights: "stage:source"
  dataset: [glyphs, digits]
  sampling_rate: 1.0
  method: [a, b]
  seed: 3
recipe: {steps: 8, validation: 0.05, anytime: {}}
methods:
  a: {penalties: {l2: {weight: 1e-1}}}
  b: {penalties: {l2: {weight: 1e-2}}}
figures:
  - title: Anytime
    lines: method
    panels: [{curve: anytime/test/top1}]
table:
  contrast: {axis: method, pairs: [[a, b]]}
profiles: {offline: {}}
"""
PAPER = """
id: laid
title: Laid out
claims:
  - id: better
    text: a is better than b.
    source: nowhere
    suite: table
    compare: [{axis: method, pairs: [[a, b]]}]
    expect: greater
    refuted_by: It is worse.
"""
STEPS = (0, 1, 3, 8)


def lay(folder: Path, text: str = SUITE) -> Plan:
    """Write ``suites/laid/table.yaml`` and ``store`` below a folder; return the plan."""
    suite = folder / "suites" / "laid" / "table.yaml"
    suite.parent.mkdir(parents=True)
    suite.write_text(text)
    (suite.parent / "paper.yaml").write_text(PAPER)
    plan, layout = load_plan(suite), Layout(folder / "store")
    records: dict[str, Record] = {}
    for cell in plan.unique().values():
        home = layout.cell(cell.id)
        home.path.mkdir(parents=True)
        records[cell.id] = _record(plan, cell, home, records)
        home.record(1).write_text(dump_record(records[cell.id]))
        home.log(1).write_text("step 1\n")
    return plan


def top1(cell: Cell) -> float:
    """Return the accuracy that a cell is given: another for each."""
    return 0.4 + (int(cell.id[:6], 16) % 1000) / 10_000


def _record(plan: Plan, cell: Cell, home: CellFolder, known: dict[str, Record]) -> Record:
    level = top1(cell)
    curve = Curve(STEPS, tuple(level * math.sqrt(step / 8) for step in STEPS))
    left = ([] if cell.parents else ["checkpoint"]) + (["patch"] if cell.can_leave("patch") else [])
    artifacts = {name: _artifact(home, cell, name) for name in left}
    parents = {
        role: {
            "id": parent.id,
            "artifact": parent.artifact,
            "attempt": 1,
            "sha256": known[parent.id].outcome.artifacts[parent.artifact].sha256,
        }
        for role, parent in cell.parents.items()
    }
    made = Provenance(
        code=code_digests(units_of(cell, plan.resources)),
        data={"dataset": dataset_digest(cell.dataset, plan.resources)},
        weights={"start": {"source": "random", "sha256": bytes_sha256(cell.id.encode())}},
        parents=parents,
        versions={"torch": "2.6.0"},
        machine={"device": "cpu", "processor": "CPU X"},
    )
    outcome = Outcome(
        "done",
        metrics={"test/top1": level, "test/loss": 1.0},
        curves={"anytime/test/top1": curve},
        timings={"total_s": 2.5},
        provenance=made,
        artifacts=artifacts,
    )
    return Record(cell.to_json(), 1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:12Z", 12.5, outcome)


def _artifact(home: CellFolder, cell: Cell, name: str) -> Artifact:
    text = f"{name} of {cell.id}"
    return place(home.path, 1, name, ".safetensors", lambda path: path.write_text(text))
