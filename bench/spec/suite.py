"""A suite as written: one YAML file, its parts typed, nothing resolved yet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import NonNegativeInt, model_validator

from bench.spec.cell import Scalar
from bench.spec.figure import Figure
from bench.spec.paper import Note
from bench.spec.recipe import Frozen

# Axes that are fields of a cell, in the order in which cells are enumerated; free axes come first
# and dotted ones before the method, so that a `when:` may choose rates by dataset.
CELL_AXES = ("backbone", "weights", "dataset", "sampling_rate")
LAST_AXES = ("method", "seed")
DOTTED = ("recipe.", "penalties.")

# Not an axis: a table with these columns has one for each of its metrics.
METRIC = "metric"

Axis = Scalar | list[Scalar]
Raw = dict[str, Any]


class Folder(Frozen):
    """An image folder of the user's: ``train/<class>/*`` and ``test/<class>/*``."""

    folder: str


class WeightsFile(Frozen):
    """Weights of the user's: a safetensors file and the number of classes of its own head."""

    file: str
    classes: NonNegativeInt


class Contrast(Frozen):
    """Pairs of values of one axis whose difference the table is about: ``[treated, base]``."""

    axis: str
    pairs: tuple[tuple[str, str], ...]


class Measure(Frozen):
    """One metric as a table shows it."""

    metric: str = "test/top1"
    label: str | None = None
    unit: str = "%"
    best: Literal["highest", "lowest"] = "highest"
    decimals: NonNegativeInt = 2


class Table(Frozen):
    """How the records are shown: the paper's own shape.

    With ``columns: metric`` every column is one of ``metrics``, each with its own unit.
    """

    rows: tuple[str, ...] = ("dataset", "method")
    columns: str = "sampling_rate"
    metric: str = "test/top1"
    unit: str = "%"
    best: Literal["highest", "lowest"] = "highest"
    decimals: NonNegativeInt = 2
    metrics: tuple[Measure, ...] = ()
    contrast: Contrast | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Table:
        if (self.columns == METRIC) != bool(self.metrics):
            raise ValueError("`columns: metric` and a list of `metrics` need each other")
        said = [n for n in ("metric", "unit", "best", "decimals") if n in self.model_fields_set]
        if self.metrics and said:
            raise ValueError(f"with `metrics`, each of them has its own {said[0]}")
        names = [measure.metric for measure in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("a metric stands there twice")
        return self

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The metrics shown: ``metrics``, or the one that the table's own fields describe."""
        return self.metrics or (
            Measure(metric=self.metric, unit=self.unit, best=self.best, decimals=self.decimals),
        )


class Stage(Frozen):
    """A cell whose checkpoint others start from.

    What is not given is the child's, but for how it is measured: ``anytime``, ``forgetting``,
    ``selection`` and ``validate_every`` of the recipe.
    """

    backbone: str | None = None
    weights: str = "random"
    dataset: str | None = None
    sampling_rate: float | None = None
    method: str
    seed: NonNegativeInt | None = None
    recipe: Raw = {}


class MethodSpec(Frozen):
    """A method as written; parameters are checked against the parts' signatures."""

    penalties: dict[str, Raw] = {}
    head_init: Raw | None = None
    optimizer: Raw | None = None
    warmup: Raw | None = None
    trainable: Literal["all", "head"] = "all"


class Overlay(Frozen):
    """What a suite says, and what a profile may say over it."""

    title: str | None = None
    source: str | None = None
    notes: tuple[Note, ...] = ()
    plugins: tuple[str, ...] = ()
    datasets: dict[str, Folder | None] = {}
    weights: dict[str, WeightsFile | None] = {}
    stages: dict[str, Raw | None] = {}
    axes: dict[str, Axis | None] = {}
    recipe: Raw = {}
    methods: dict[str, Raw | None] = {}
    when: tuple[Raw, ...] = ()
    labels: dict[str, dict[str, str]] = {}
    table: Raw = {}
    figures: tuple[Figure, ...] | None = None


class Profile(Overlay):
    """A named overlay; ``extends`` names the profile it is laid over."""

    extends: str | None = None


class SuiteFile(Overlay):
    """A whole suite file."""

    profiles: dict[str, Profile] = {}


class Suite(Frozen):
    """A suite with one profile applied: what the report needs of it."""

    name: str
    title: str
    source: str
    notes: tuple[Note, ...]
    table: Table
    labels: dict[str, dict[str, str]]
    axes: tuple[str, ...]
    selection: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
