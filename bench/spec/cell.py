"""The cell: one fully resolved unit of work, as plain data with a stable id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from bench.spec.parts import PartKey
from bench.spec.recipe import Recipe, Scalar
from bench.spec.tuning import CHOICE, SCORE, Trial, Tuned
from bench.spec.work import Measure, Task, Train, Work, canonical_json, network_name

SEED = "seed"
# The role of the cell whose network another one goes on from.
START = "start"
CHECKPOINT = "checkpoint"
PREDICTIONS = "predictions"
# How weights begin that a file of the suite's holds.
FILE = "file:"
# All that a training may have changed, beside what it started from.
PATCH = "patch"
# The role of what the cell in the role START started from itself, where that left a patch.
_BODY = "body"
T = TypeVar("T")


def body_of(role: str) -> str:
    """Return the role of what the cell in a role started from itself.

    >>> body_of("start"), body_of(body_of("start"))
    ('body', 'body of body')
    """
    return _BODY if role == START else f"{_BODY} of {role}"


@dataclass(frozen=True)
class Parent:
    """A cell that another one starts from, and which of its artifacts."""

    id: str
    artifact: str = CHECKPOINT


def with_bodies(start: Parent, of_stage: Mapping[str, Parent]) -> dict[str, Parent]:
    """Return what a cell needs to start from a stage's artifact, by role.

    Of a patch that is whatever the stage itself needed to start: its parents are ``of_stage``.
    """
    found = {START: start}
    role = START
    while start.artifact == PATCH and role in of_stage:
        start = found[body_of(role)] = of_stage[role]
        role = body_of(role)
    return found


def source_name(place: int) -> str:
    """Return the name of an earlier training of a cell's network: the nearest has the place 0.

    Metrics are named by it, and so are the roles of all but the nearest, which is the start.

    >>> source_name(0), source_name(1), source_name(2)
    ('source', 'source2', 'source3')
    """
    return f"source{place + 1}" if place else "source"


def sources_in(parents: Mapping[str, T]) -> dict[str, T]:
    """Return those of a cell's parents whose tasks it may have forgotten, by name, nearest first.

    >>> sources_in({"start": 1, "source2": 2, "body": 3})
    {'source': 1, 'source2': 2}
    """
    found = {source_name(0): parents[START]} if START in parents else {}
    while (name := source_name(len(found))) in parents:
        found[name] = parents[name]
    return found


def with_sources(start: Parent, above: Iterable[PlannedCell]) -> dict[str, Parent]:
    """Return what a cell's start started from itself, and what that did, and so on, by role.

    Parameters
    ----------
    above
        The start, and all cells that it goes back to; there may be others.
    """
    by_id = {planned.cell.id: planned.cell for planned in above}
    found: dict[str, Parent] = {}
    while START in (parents := by_id[start.id].parents):
        start = found[source_name(len(found) + 1)] = parents[START]
    return found


@dataclass(frozen=True, eq=False)
class Cell:
    """One unit of work: plain data, hashable, the same on every machine.

    Attributes
    ----------
    work
        What is done; one object serves all seeds.
    seed
        Root of the cell's random streams.
    parents
        Role to the cell and artifact that this one starts from.
    id
        First 20 hexadecimal digits of the SHA-256 of the canonical JSON.
    """

    work: Work
    seed: int
    parents: Mapping[str, Parent] = field(default_factory=dict)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", id_of(self.work.canonical, self.seed, self._parents))

    def canonical(self) -> str:
        """Return the canonical JSON whose digest is the id."""
        return _canonical(self.work.canonical, self.seed, self._parents)

    @property
    def _parents(self) -> dict[str, tuple[str, str]]:
        return {role: (p.id, p.artifact) for role, p in self.parents.items()}

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and other.id == self.id

    @property
    def kind(self) -> str:
        """``train``, or the measurement's name."""
        return self.work.kind

    def can_leave(self, artifact: str) -> bool:
        """Whether an attempt can leave a checkpoint, or a patch, for whoever asks for one.

        The patch of a training of everything would be the whole network. A trial may diverge.
        """
        if not isinstance(self.work, Train) or isinstance(self.work, Trial):
            return False
        return artifact != PATCH or self.work.trainable.name != "all"

    @property
    def parts(self) -> tuple[PartKey, ...]:
        """Kind and name of every part that it uses."""
        return self.work.parts

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Tasks by name; a single one has the name ``""``."""
        return self.work.tasks

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the tasks' datasets, each once."""
        return tuple(dict.fromkeys(task.dataset for task in self.tasks.values()))

    @property
    def dataset(self) -> str:
        """Names of the datasets as text."""
        return "+".join(self.datasets)

    @property
    def backbone(self) -> str:
        """Name of the network as text; of a measurement, its networks' names, each once."""
        if isinstance(self.work, Train):
            return network_name(self.work.network)
        return "+".join(dict.fromkeys(network_name(s.network) for s in self.work.starts.values()))

    @property
    def weights(self) -> tuple[str, ...]:
        """Where the networks' weights come from, each once."""
        if isinstance(self.work, Train):
            return (self.work.weights,)
        return tuple(dict.fromkeys(start.weights for start in self.work.starts.values()))

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of a training."""
        return self.work.recipe if isinstance(self.work, Train) else None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting with its value, defaults included, JSON-ready: what records keep."""
        return self.work.settings

    def settings_by(self, candidate: int | None) -> Mapping[str, Any]:
        """Return every setting as it is by a candidate of the cell's search.

        The settings themselves where it is none of them, or the cell is not tuned.
        """
        tried = self.work.candidates if isinstance(self.work, Tuned) else ()
        if candidate is None or not 0 <= candidate < len(tried):
            return self.work.settings
        return tried[candidate].work.settings

    def to_json(self, candidate: int | None = None) -> dict[str, Any]:
        """Return the cell as JSON-ready data, the form kept in records.

        Its work and settings are shared by all cells of that work: they are for reading alone.
        ``candidate`` is that by which it was trained, where it is tuned.
        """
        return {
            "id": self.id,
            "kind": self.kind,
            "seed": self.seed,
            "parents": self._parents_data,
            "work": self.work.data,
            "settings": self.settings_by(candidate),
        }

    def json_text(self) -> str:
        """Return the canonical JSON of :meth:`to_json`."""
        parents = canonical_json(self._parents_data)
        return (
            f'{{"id":"{self.id}","kind":{canonical_json(self.kind)},"parents":{parents},'
            f'"seed":{self.seed},"settings":{self.work.settings_text},'
            f'"work":{self.work.canonical}}}'
        )

    @property
    def _parents_data(self) -> dict[str, dict[str, str]]:
        return {role: {"id": p.id, "artifact": p.artifact} for role, p in self.parents.items()}


def id_of(work: str, seed: int, parents: Mapping[str, tuple[str, str]]) -> str:
    """Return the id of the cell of a work's canonical JSON, and of roles to id and artifact."""
    return hashlib.sha256(_canonical(work, seed, parents).encode()).hexdigest()[:20]


def _canonical(work: str, seed: int, parents: Mapping[str, tuple[str, str]]) -> str:
    shown = canonical_json(parents) if parents else "{}"
    return f'{{"parents":{shown},"seed":{seed},"work":{work}}}'


Place = Mapping[str, Scalar]


@dataclass(frozen=True)
class PlannedCell:
    """A cell in its suite: where it stands there, and its level in the graph.

    Attributes
    ----------
    place
        Axis to value, without the seed; empty for cells that exist only because others start
        from them.
    seed
        Value of the axis ``seed``; None for those.
    level
        0 needs nothing; each other is above all its parents.
    name
        Empty for a cell of the table; else what it is there for: ``stage source``,
        ``channel-attention``.
    """

    cell: Cell
    place: Place
    seed: Scalar | None = None
    level: int = 0
    name: str = ""

    @property
    def shown(self) -> bool:
        """Whether the cell is one of the table's, and not only behind it."""
        return not self.name

    @cached_property
    def labels(self) -> dict[str, Scalar]:
        """Axis to value, seed included."""
        return {**self.place, SEED: self.seed} if self.seed is not None else dict(self.place)


@dataclass(frozen=True)
class Resources:
    """Where a suite's own things lie: absolute paths, never part of an id.

    ``folders`` maps a dataset of the suite to its image folder, ``lists`` to the names of the two
    files in it that list its splits, if there are such; ``arrays`` to its safetensors file and
    modality; ``files`` maps a weights name to ``(path, number of classes of its head)``;
    ``plugins`` are Python files with parts.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    lists: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the suite's own datasets."""
        return (*self.folders, *self.arrays)


__all__ = [
    "CHECKPOINT", "CHOICE", "FILE", "PATCH", "PREDICTIONS", "SCORE", "SEED", "START", "Cell",
    "Measure", "Parent", "Place", "PlannedCell", "Resources", "Scalar", "Train", "body_of",
    "source_name", "sources_in", "with_bodies", "with_sources",
]  # fmt: skip
