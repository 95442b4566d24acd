"""Cells and records for tests, made from the few words that matter in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.record import Artifact, Failure, Outcome, Provenance, Record, Status
from bench.spec.cell import Cell, Method, Parent, PlannedCell, Scalar
from bench.spec.recipe import Recipe

RECIPE = Recipe()


def cell(
    seed: int = 0,
    penalties: Mapping[str, dict[str, Scalar]] | None = None,
    *,
    parents: Mapping[str, Parent] | None = None,
    dataset: str = "glyphs",
    weights: str = "random",
) -> Cell:
    method = Method(penalties=dict(penalties or {}))
    if parents and "weights" in parents:
        weights = "stage"
    return Cell(
        "train", "resnet18.tv_in1k", weights, dataset, 1.0, seed, RECIPE, method, parents or {}
    )


def planned(cell: Cell, level: int = 0) -> PlannedCell:
    return PlannedCell(cell, {"seed": cell.seed}, level)


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
