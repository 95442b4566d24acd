"""What an engine is given for one attempt; crosses process borders, so plain data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.spec.cell import Cell, Resources


@dataclass(frozen=True)
class ParentArtifact:
    """A parent's artifact as a job finds it: the cell, attempt, absolute path, digest."""

    cell: Cell
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
        The cell's folder in the store; artifacts are written there (temporary name, then
        ``os.replace``).
    device
        ``cpu`` or ``cuda``; with ``cuda`` the process sees only its own GPU as device 0.
    threads
        Threads that torch may use.
    keep_checkpoint
        Whether another cell starts from this one, so that its final state must be kept.
    parents
        Role to artifact, one for each of the cell's parents.
    """

    cell: Cell
    attempt: int
    folder: Path
    device: str = "cpu"
    threads: int = 1
    keep_checkpoint: bool = False
    parents: Mapping[str, ParentArtifact] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
