"""What a cell finds of the cells that it starts from."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors.torch import load
from torch import Tensor

from bench.models.weights import LoadedBackbone, load_backbone, load_patched
from bench.parts.compose import load_network
from bench.records.artifacts import read_artifact
from bench.scheduling.job import Job
from bench.spec.cell import PATCH, body_of
from bench.spec.work import Start, Train


def load_start(
    job: Job,
    role: str,
    start: Train | Start,
    *,
    seed: int,
    input_shape: tuple[int, ...],
) -> LoadedBackbone:
    """Return the backbone that a cell begins with in a role, with its weights.

    A stage's patch is laid over what the stage itself started from, which is made again here, or
    is the artifact of another cell, and perhaps a patch too.

    Parameters
    ----------
    start
        Says which network and weights.
    seed
        Random weights come from it.

    Raises
    ------
    WeightsError
        If the weights cannot be had, do not fit, or are a patch of another body.
    """
    network = load_network(start.network, job.resources.plugins)
    parent = job.parents.get(role)
    if parent is None or parent.name != PATCH:
        drawn_for = start.datasets if isinstance(start, Train) else start.drawn_for
        return load_backbone(
            network,
            start.weights,
            seed=seed,
            resources=job.resources,
            parent=None if parent is None else (parent.path, parent.sha256),
            input_shape=input_shape,
            drawn_for=drawn_for,
        )
    stage = parent.cell
    assert isinstance(stage.work, Train)
    body = load_start(job, body_of(role), stage.work, seed=stage.seed, input_shape=input_shape)
    return load_patched(network, body, parent=(parent.path, parent.sha256), input_shape=input_shape)


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
