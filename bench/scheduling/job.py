"""What an engine is given for one attempt; crosses process borders, so plain data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.spec.cell import Cell, Resources


@dataclass(frozen=True)
class ParentArtifact:
    """A parent's artifact as a job finds it: the cell, its name, attempt, absolute path, digest.

    Whoever loads it checks the digest: :func:`bench.records.artifacts.read_artifact`.
    """

    cell: Cell
    name: str
    attempt: int
    path: Path
    sha256: str

    @property
    def id(self) -> str:
        """Id of the parent."""
        return self.cell.id


@dataclass(frozen=True)
class Job:
    """One attempt at one cell.

    Attributes
    ----------
    folder
        The cell's folder in the store; artifacts are written there by
        :func:`bench.records.artifacts.place`.
    device
        ``cpu`` or ``cuda``; with ``cuda`` the process sees only its own GPU as device 0.
    threads
        Threads that torch may use.
    keep
        Names of the artifacts to leave, because other cells start from them or the user asked.
    parents
        Role to artifact, one for each of the cell's parents.
    code
        Unit of code to the digest that the runner expects; what it does not know is not compared.
    alone
        Whether the device is this job's alone, after it ran out of memory beside others.
    memory_share
        Of the device's memory, how much the process may take before it counts as out of it.
    save_every
        Seconds between two saves of a training's state, from which a later attempt goes on; with
        0 none is saved, and none gone on from.
    """

    cell: Cell
    attempt: int
    folder: Path
    device: str = "cpu"
    threads: int = 1
    keep: frozenset[str] = frozenset()
    parents: Mapping[str, ParentArtifact] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    code: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    memory_share: float = 1.0
    save_every: float = 0.0
