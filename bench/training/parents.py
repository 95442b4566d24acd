"""What a cell finds of the cells that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from bench.records.artifacts import read_artifact
from bench.scheduling.job import Job


def parent_file(job: Job, role: str) -> tuple[Path, str] | None:
    """Return a parent's artifact and the digest it must have; None without that parent."""
    parent = job.parents.get(role)
    return None if parent is None else (parent.path, parent.sha256)


def parent_tensors(job: Job, role: str) -> dict[str, Tensor]:
    """Return the tensors of a parent's artifact.

    Raises
    ------
    StoreError
        If the file cannot be read, or its bytes are not those that were written.
    """
    parent = job.parents[role]
    return load(read_artifact(parent.path, parent.sha256))


def measured_arrays(job: Job) -> Mapping[str, Mapping[str, Tensor]]:
    """Return the arrays of each measurement that the cell's penalties need, by its name."""
    return {
        role: parent_tensors(job, role)
        for role, parent in job.parents.items()
        if parent.name == "arrays"
    }
