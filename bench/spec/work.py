"""What a cell does: trains a network, measures networks that others left, or chooses a training.

Trainings that belong to a search are in `bench.spec.tuning`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, model_validator

from bench.spec.parts import Kind, PartKey
from bench.spec.recipe import (
    Augmentation,
    Frozen,
    HeldOut,
    Image,
    OneOf,
    Pair,
    Recipe,
    Scalar,
    Use,
    Warmup,
)

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return _ENCODER.encode(value)


class LongTail(Frozen):
    """Class counts that fall geometrically, from the largest to ``1 / imbalance`` of it."""

    imbalance: Annotated[float, Field(gt=1)]


class Task(Frozen):
    """What is learnt or scored: data, how they are sampled, and what is asked of them.

    ``train_classes``, from one up to but without another, are those whose rows are trained on and
    held out; the head has outputs for all, and the test split keeps all. ``image`` and
    ``augmentation`` are the recipe's where not given. ``weight`` multiplies the task's loss where
    there are several. ``head`` names the task whose head it uses; it has one of its own where not
    given.
    """

    dataset: str
    sampling_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    long_tail: LongTail | None = None
    train_classes: Pair[NonNegativeInt] | None = None
    objective: Use
    transforms: tuple[Use, ...] = ()
    image: Image | None = None
    augmentation: Augmentation | None = None
    weight: PositiveFloat = 1.0
    head: str | None = None

    @model_validator(mode="after")
    def _some_classes(self) -> Task:
        if self.train_classes is not None and self.train_classes[0] >= self.train_classes[1]:
            first, stop = self.train_classes
            raise ValueError(f"train_classes [{first}, {stop}] is no class: write [from, up to]")
        return self

    def shares_rows(self, other: Task) -> bool:
        """Whether a row may be trained on or held out by both tasks."""
        if self.dataset != other.dataset:
            return False
        if self.train_classes is None or other.train_classes is None:
            return True
        (first, stop), (begin, end) = self.train_classes, other.train_classes
        return first < end and begin < stop


Network = str | Use


def network_name(network: Network | None) -> str:
    """Return a network as text: timm's name, or a part's with what differs from its defaults.

    >>> network_name(Use(name="mlp", settings={"width": 8, "depth": 2}, given={"width": 8}))
    'mlp(width=8)'
    """
    if not isinstance(network, Use):
        return network or ""
    given = ", ".join(f"{key}={value}" for key, value in sorted(network.given.items()))
    return f"{network.name}({given})" if given else network.name


@dataclass(frozen=True, eq=False)
class _Described:
    """A work as data and as text: made once for all cells that share it."""

    key: ClassVar[str]
    """What the canonical JSON calls works of this class, and the unit of code that does them."""

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON of everything that may change the numbers; defaults are omitted."""
        return _canonical(self)

    @cached_property
    def data(self) -> dict[str, Any]:
        """The canonical JSON as data."""
        data: dict[str, Any] = json.loads(self.canonical)
        return data

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting with its value, defaults included, JSON-ready: what records keep."""
        whole: dict[str, Any] = plain(self, whole=True)
        return whole

    @cached_property
    def settings_text(self) -> str:
        """The settings as canonical JSON."""
        return canonical_json(self.settings)


@dataclass(frozen=True, eq=False)
class Train(_Described):
    """Training one network on one task or several.

    Attributes
    ----------
    network
        timm's name with its tag, or a part of kind ``network``.
    weights
        ``random``, ``timm``, ``timm@REVISION``, ``hf:REPOSITORY@REVISION``, ``shipped:NAME``,
        ``file:NAME``, or ``stage``: then the parent ``start`` holds them.
    tasks
        By name; a single one has none (``""``).
    recipe
        With what the method replaces already in its place.
    penalties, patches
        Sorted by name: a sum of floats depends on the order, and an id must not.
    """

    network: Network
    weights: str
    tasks: Mapping[str, Task]
    recipe: Recipe
    trainable: Use
    update: Use
    penalties: tuple[Use, ...] = ()
    patches: tuple[Use, ...] = ()
    warmup: Warmup | None = None

    key = "train"
    kind = "train"

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the tasks' datasets, each once, sorted."""
        return tuple(sorted({task.dataset for task in self.tasks.values()}))

    @property
    def shared_heads(self) -> dict[str, str]:
        """Task to the task whose head it uses, of those that have none of their own."""
        return {name: task.head for name, task in self.tasks.items() if task.head is not None}

    @cached_property
    def parts(self) -> tuple[PartKey, ...]:
        """Kind and name of every part that the work uses."""
        return (
            *_network_part(self.network),
            *_parts_of_tasks(self.tasks),
            ("head", self.recipe.head_init.name),
            ("trainable", self.trainable.name),
            ("update", self.update.name),
            *(("penalty", use.name) for use in self.penalties),
            *(("patch", use.name) for use in self.patches),
        )


@dataclass(frozen=True)
class Start:
    """Where a measured network comes from: its architecture and weights, as of ``Train``.

    ``drawn_for`` are the datasets of the training whose random start it is.
    """

    network: Network
    weights: str
    drawn_for: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Measure(_Described):
    """Measuring networks that other cells left, or that nothing has trained yet.

    Attributes
    ----------
    measurement
        The part.
    starts
        Role to network; weights ``stage`` are those of the parent in that role.
    task
        The data it is measured on; None where the measurement looks at none.
    held_out
        Rows of the task that it does not see, as the training that needs it does not; None where
        nothing is.
    """

    measurement: Use
    starts: Mapping[str, Start] = field(default_factory=dict)
    task: Task | None = None
    held_out: HeldOut | None = None

    key = "measure"

    @property
    def kind(self) -> str:
        """Name of the measurement."""
        return self.measurement.name

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The task by name, as of ``Train``; none without data."""
        return {} if self.task is None else {"": self.task}

    @cached_property
    def parts(self) -> tuple[PartKey, ...]:
        """Kind and name of every part that the work uses."""
        networks = (p for start in self.starts.values() for p in _network_part(start.network))
        return (("measurement", self.kind), *networks, *_parts_of_tasks(self.tasks))


@dataclass(frozen=True, eq=False)
class Choose(_Described):
    """Choosing one of several candidates by the scores of their trials, which are its parents.

    Attributes
    ----------
    metric, best
        What trials are scored by, on rows held out, and its better side.
    within
        Candidates whose mean is so near the best, in the metric's recorded unit, are as good: of
        them the first is chosen.
    candidates
        Searched axis to value, of each.
    places
        Where each candidate has trials: the axes in which they differ, to values.
    seeds
        Of its trials at each place.
    """

    metric: str
    best: Literal["highest", "lowest"]
    within: float
    candidates: tuple[Mapping[str, Scalar], ...]
    places: tuple[Mapping[str, Scalar], ...]
    seeds: tuple[int, ...]

    key = "choose"
    kind = "choice"
    # It looks at no data and no network: its parents have.
    tasks: ClassVar[Mapping[str, Task]] = {}
    starts: ClassVar[Mapping[str, Start]] = {}
    parts: ClassVar[tuple[PartKey, ...]] = ()

    def roles(self, candidate: int) -> tuple[str, ...]:
        """Return the roles of a candidate's trials."""
        places = range(len(self.places))
        return tuple(trial_role(candidate, place, seed) for place in places for seed in self.seeds)


def trial_role(candidate: int, place: int, seed: int) -> str:
    """Return the role that a trial has for the choice.

    >>> trial_role(3, 0, 1_000_000)
    'candidate 3, place 0, seed 1000000'
    """
    return f"candidate {candidate}, place {place}, seed {seed}"


Work = Train | Measure | Choose


def _network_part(network: Network) -> tuple[PartKey, ...]:
    return (("network", network.name),) if isinstance(network, Use) else ()


def _parts_of_tasks(tasks: Mapping[str, Task]) -> tuple[PartKey, ...]:
    found: list[PartKey] = []
    for task in tasks.values():
        found.append(("objective", task.objective.name))
        found += [("transform", use.name) for use in task.transforms]
    return tuple(dict.fromkeys(found))


# -- as data -------------------------------------------------------------------------------------


def plain(value: Any, *, whole: bool = False) -> Any:
    """Return a setting as JSON-ready data.

    Parameters
    ----------
    whole
        With every value, defaults included, as records keep it; else only what differs from its
        default, which is what an id is made of: a new optional setting then changes no id.
    """
    if isinstance(value, Use):
        return {value.name: plain(dict(value.settings if whole else value.given), whole=whole)}
    if isinstance(value, OneOf):
        return {value.choice: plain(value.settings, whole=whole)}
    if isinstance(value, BaseModel):
        return _plain_model(value, whole)
    if isinstance(value, _Described | Start):
        return {
            f.name: plain(getattr(value, f.name), whole=whole)
            for f in fields(value)
            if whole or not _empty(getattr(value, f.name))
        }
    if isinstance(value, Mapping):
        return {str(key): plain(inner, whole=whole) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, whole=whole) for inner in value]
    return value


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping | tuple) and not value)


def _plain_model(model: BaseModel, whole: bool) -> dict[str, Any]:
    found = {}
    for name, known in type(model).model_fields.items():
        value = getattr(model, name)
        acts_elsewhere = isinstance(model, Recipe) and name in Recipe.ACTS_BY_PARENTS
        if acts_elsewhere:
            continue
        shown = plain(value, whole=whole)
        # Compared as they are shown: a part in use by its name and what it was given, so that a
        # parameter that is new to the part makes no default another one.
        if whole or known.is_required() or shown != plain(known.default):
            found[name] = shown
    return found


_TEXTS: dict[int, tuple[object, str]] = {}


def _shared_text(value: object) -> str:
    # Thousands of cells share one recipe object: dump it once. The object is held beside its
    # text, so that its identity stays its own.
    known = _TEXTS.get(id(value))
    if known is None or known[0] is not value:
        known = _TEXTS[id(value)] = (value, canonical_json(plain(value)))
    return known[1]


def _canonical(work: _Described) -> str:
    members = {}
    for f in fields(work):
        value = getattr(work, f.name)
        if not _empty(value):
            text = _shared_text if isinstance(value, Recipe) else _text
            members[f.name] = text(value)
    inner = ",".join(f'"{name}":{members[name]}' for name in sorted(members))
    return f'{{"{work.key}":{{{inner}}}}}'


def _text(value: object) -> str:
    return canonical_json(plain(value))


__all__ = [
    "Choose", "Kind", "LongTail", "Measure", "Network", "Start", "Task", "Train", "Use", "Work",
    "canonical_json", "network_name", "plain", "trial_role",
]  # fmt: skip
