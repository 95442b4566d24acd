"""Cells and records for tests, made from the few words that matter in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.record import Artifact, Failure, Outcome, Provenance, Record, Status
from bench.spec.cell import START, Cell, Measure, Parent, PlannedCell, Scalar, Train
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Start, Task

RECIPE = Recipe()
BACKBONE = "resnet18.tv_in1k"


def cell(
    seed: int = 0,
    penalties: Mapping[str, dict[str, Scalar]] | None = None,
    *,
    parents: Mapping[str, Parent] | None = None,
    dataset: str = "glyphs",
    weights: str = "random",
    recipe: Recipe = RECIPE,
) -> Cell:
    penalties = penalties or {}
    work = Train(
        network=BACKBONE,
        weights="stage" if parents and START in parents else weights,
        tasks={"": task(dataset)},
        recipe=recipe,
        trainable=Use(name="all"),
        update=Use(name="gradient"),
        penalties=tuple(Use(name=n, settings=s, given=s) for n, s in sorted(penalties.items())),
    )
    return Cell(work, seed, parents or {})


def task(dataset: str = "glyphs", **more: Any) -> Task:
    return Task(dataset=dataset, objective=Use(name="classification"), **more)


def measurement(
    seed: int = 0, *, parents: Mapping[str, Parent] | None = None, weights: str = "random"
) -> Cell:
    start = Start(BACKBONE, "stage" if parents else weights)
    work = Measure(Use(name="channel-attention"), {START: start}, task())
    return Cell(work, seed, parents or {})


def planned(cell: Cell, level: int = 0) -> PlannedCell:
    return PlannedCell(cell, {}, cell.seed, level)


def outcome(status: Status = "done", **made: Any) -> Outcome:
    """``made`` goes to the provenance; ``artifacts`` maps a name to its digest."""
    files = made.pop("artifacts", {})
    failure = None if status == "done" else Failure("error", "went wrong")
    return Outcome(
        status,
        provenance=Provenance(**made),
        artifacts={name: Artifact(f"0001.{name}.bin", digest) for name, digest in files.items()},
        failure=failure,
    )


def record(cell: Cell, attempt: int = 1, status: Status = "done", **made: Any) -> Record:
    return Record(
        cell=cell.to_json(),
        attempt=attempt,
        started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:00:05+00:00",
        seconds=5.0,
        outcome=outcome(status, **made),
    )
