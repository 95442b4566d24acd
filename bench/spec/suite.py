"""A suite as written: one YAML file, its parts typed, nothing resolved yet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import NonNegativeInt, model_validator

from bench.spec.claims import At
from bench.spec.figure import Figure
from bench.spec.naming import Name
from bench.spec.paper import Note
from bench.spec.recipe import Frozen, Items, Pair, Scalar

# Axes that are fields of a cell, in the order in which cells are enumerated; free axes come first
# and dotted ones before the method, so that a `when:` may choose rates by dataset.
CELL_AXES = ("backbone", "weights", "dataset", "sampling_rate")
LAST_AXES = ("method", "seed")
DOTTED = ("recipe.", "penalties.", "task.", "measure.")

# Not an axis: a table with these columns has one for each of its metrics.
METRIC = "metric"

Axis = Scalar | list[Scalar]
Raw = dict[str, Any]


class Folder(Frozen):
    """An image folder of the user's: ``train/<class>/*`` and ``test/<class>/*``.

    With ``train`` and ``test`` the images lie anywhere within it, and these are text files in it
    that list them: a path and a class number a line, as in the archive of VTAB-1k.
    """

    folder: str
    train: str | None = None
    test: str | None = None

    @model_validator(mode="after")
    def _both_lists_or_none(self) -> Folder:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test are two lists of images: give both, or neither")
        return self

    @property
    def lists(self) -> tuple[str, str] | None:
        """Names of the lists of both splits; None where folders are the classes."""
        return (self.train, self.test) if self.train and self.test else None


class Arrays(Frozen):
    """Arrays of the user's: a safetensors file with inputs and targets of both splits."""

    file: str
    modality: Literal["vectors", "tokens", "trajectories"] = "vectors"


class WeightsFile(Frozen):
    """Weights of the user's: a safetensors file and the number of classes of its own head."""

    file: str
    classes: NonNegativeInt


class Contrast(Frozen):
    """Pairs of values of one axis whose difference the table is about: ``[treated, base]``."""

    axis: str
    pairs: Items[Pair[str]]


def name_at(metric: str, at: At | None) -> str:
    """Return a metric's name; of a curve with what is taken of it.

    >>> name_at("source/top1", At(step="end")), name_at("test/top1", None)
    ('source/top1 at end', 'test/top1')
    """
    return metric if at is None else f"{metric} at {at.name}"


class ShownMetric(Frozen):
    """One metric as it is shown, with the unit and better side that it declares.

    ``at`` is what is taken of it where it is a curve.
    """

    metric: str
    at: At | None = None
    label: str | None = None
    unit: str = ""
    best: Literal["highest", "lowest"] = "highest"
    decimals: NonNegativeInt = 2

    @property
    def name(self) -> str:
        """The metric's name, with what is taken of it."""
        return name_at(self.metric, self.at)


class Column(Frozen):
    """One metric of a table as written; unit and better side are the metric's own.

    With ``at`` it is a curve, of which that is taken, as in claims.
    """

    metric: str
    at: At | None = None
    label: str | None = None
    decimals: NonNegativeInt = 2


class Table(Frozen):
    """How the records are shown: the paper's own shape.

    With ``columns: metric`` every column is one of ``metrics``. Units, and which side is better,
    are declared by whatever measures a metric, and not said again here.
    """

    rows: Items[str] = ("dataset", "method")
    columns: str = "sampling_rate"
    metric: str = "test/top1"
    decimals: NonNegativeInt = 2
    metrics: Items[Column] = ()
    contrast: Contrast | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Table:
        if (self.columns == METRIC) != bool(self.metrics):
            raise ValueError("`columns: metric` and a list of `metrics` need each other")
        said = [n for n in ("metric", "decimals") if n in self.model_fields_set]
        if self.metrics and said:
            raise ValueError(f"with `metrics`, each of them has its own {said[0]}")
        names = [name_at(column.metric, column.at) for column in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("a metric stands there twice")
        return self

    @property
    def shown(self) -> tuple[Column, ...]:
        """The metrics shown: ``metrics``, or the one that the table's own fields describe."""
        return self.metrics or (Column(metric=self.metric, decimals=self.decimals),)


class Stage(Frozen):
    """A cell whose checkpoint others start from.

    What is not given is the child's, but for how it is measured: ``anytime``, ``forgetting``,
    ``penalty_gradients``, ``selection`` and ``validate_every`` of the recipe, and its
    ``statistics`` and ``frozen_features``. ``task`` is laid over the suite's. With ``tasks`` it is
    trained on several, by name, each laid over that.
    """

    backbone: str | None = None
    weights: str = "random"
    dataset: str | None = None
    sampling_rate: float | None = None
    method: str | None = None
    seed: NonNegativeInt | None = None
    recipe: Raw = {}
    task: Raw = {}
    tasks: dict[str, Raw] = {}


class MethodSpec(Frozen):
    """A method as written: an overlay of parts, and of the recipe.

    Parameters are checked against the parts' signatures. ``trainable`` and ``update`` are a
    part's name, or a mapping of it to its parameters.
    """

    penalties: dict[str, Raw] = {}
    trainable: str | Raw = "all"
    patches: dict[str, Raw] = {}
    update: str | Raw = "gradient"
    warmup: Raw | None = None
    recipe: Raw = {}


class TaskSpec(Frozen):
    """A task as written: what is not given is the suite's axes' and recipe's."""

    dataset: str | None = None
    sampling_rate: float | None = None
    long_tail: Raw | None = None
    train_classes: list[Any] | None = None
    objective: str | Raw = "classification"
    transforms: dict[str, Raw] = {}
    image: Raw | None = None
    augmentation: Raw | None = None
    weight: float = 1.0
    head: str | None = None


class Role(Frozen):
    """A network that is measured: a stage's, or one that no cell has trained.

    ``checkpoint`` is the state that the stage reports, its ``start``, or that after so many
    steps. What else is given goes before this cell's axes when the stage is resolved;
    ``seed_plus`` is added to this cell's seed.
    """

    stage: str | None = None
    checkpoint: Literal["reported", "start"] | NonNegativeInt = "reported"
    weights: str | None = None
    backbone: str | None = None
    dataset: str | None = None
    sampling_rate: float | None = None
    method: str | None = None
    seed: NonNegativeInt | None = None
    seed_plus: int = 0

    @model_validator(mode="after")
    def _one_origin(self) -> Role:
        if (self.stage is None) == (self.weights is None):
            raise ValueError("names either a stage, or weights")
        if self.seed is not None and self.seed_plus:
            raise ValueError("seed and seed_plus exclude each other")
        of_stages = self.model_fields_set - {"weights", "backbone", "stage"}
        if self.weights is not None and of_stages:
            raise ValueError(f"only a stage has {', '.join(sorted(of_stages))} of its own")
        return self


class MeasureSpec(Frozen):
    """What a suite of measurements measures, and of what."""

    part: str | Raw
    roles: dict[str, Role] = {}


class Overlay(Frozen):
    """What a suite says, and what a profile may say over it."""

    title: str | None = None
    source: str | None = None
    notes: Items[Note] = ()
    plugins: Items[str] = ()
    datasets: dict[Name, Folder | Arrays | None] = {}
    weights: dict[Name, WeightsFile | None] = {}
    stages: dict[Name, Raw | None] = {}
    axes: dict[str, Axis | None] = {}
    search: Raw = {}
    networks: dict[str, str | Raw | None] = {}
    recipe: Raw = {}
    task: Raw = {}
    tasks: dict[str, Raw | None] = {}
    measure: Raw = {}
    methods: dict[str, Raw | None] = {}
    when: Items[Raw] = ()
    labels: dict[str, dict[str, str]] = {}
    table: Raw = {}
    figures: Items[Figure] | None = None


class Profile(Overlay):
    """A named overlay; ``extends`` names the profile it is laid over."""

    extends: str | None = None


class SuiteFile(Overlay):
    """A whole suite file."""

    profiles: dict[Name, Profile] = {}


class Suite(Frozen):
    """A suite with one profile applied: what the report needs of it.

    ``metrics`` are the table's, with their own units. ``trials_at`` are the axis values at which
    alone a search has its trials; ``follows`` has the methods that train by another one's choice.
    """

    name: str
    title: str
    source: str
    notes: tuple[Note, ...]
    table: Table
    metrics: tuple[ShownMetric, ...]
    labels: dict[str, dict[str, str]]
    axes: tuple[str, ...]
    selection: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    trials_at: dict[str, tuple[Scalar, ...]] = {}
    follows: dict[str, str] = {}
