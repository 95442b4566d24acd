"""Forty short cells, most of which start from another's checkpoint, and what executes them."""

from __future__ import annotations

import hashlib
import os
import time

from bench.records.artifacts import place, read_artifact
from bench.records.record import Outcome, Provenance
from bench.scheduling.job import Job
from bench.spec.cell import Parent, PlannedCell
from tests.records.built import cell, planned

TARGET = f"{__name__}:draw"


def cells() -> list[PlannedCell]:
    """Return four cells of which each has nine children."""
    found = []
    for source in range(4):
        first = planned(cell(source * 10))
        roles = {"start": Parent(first.cell.id)}
        children = [planned(cell(source * 10 + n, parents=roles), 1) for n in range(1, 10)]
        found += [first, *children]
    return found


def draw(job: Job) -> Outcome:
    """Compute metrics of the bytes of what the cell starts from, and of its seed."""
    text = job.cell.id.encode()
    parents = {}
    for role, parent in job.parents.items():
        text += read_artifact(parent.path, parent.sha256)
        parents[role] = {
            "id": parent.id, "artifact": parent.name, "attempt": parent.attempt,
            "sha256": parent.sha256,
        }  # fmt: skip
    content = b"".join(hashlib.sha256(text + bytes([n])).digest() for n in range(200))
    time.sleep(0.3)
    artifacts = {
        name: place(job.folder, job.attempt, name, ".bin", lambda part: part.write_bytes(content))
        for name in job.keep
    }
    metrics = {"drawn": int.from_bytes(content[:7], "big") / 2**56}
    machine = {"folder": str(job.folder), "process": f"{os.getppid()}"}
    provenance = Provenance(parents=parents, machine=machine)
    return Outcome("done", metrics=metrics, artifacts=artifacts, provenance=provenance)
