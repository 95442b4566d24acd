"""A suite as written: one YAML file, its parts typed, nothing resolved yet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import NonNegativeInt

from bench.spec.cell import Scalar
from bench.spec.paper import Note
from bench.spec.recipe import Frozen

# Axes that are fields of a cell, in the order in which cells are enumerated; free axes come first
# and dotted ones before the method, so that a `when:` may choose rates by dataset.
CELL_AXES = ("backbone", "weights", "dataset", "sampling_rate")
LAST_AXES = ("method", "seed")
DOTTED = ("recipe.", "penalties.")

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


class Table(Frozen):
    """How the records are shown: the paper's own shape."""

    rows: tuple[str, ...] = ("dataset", "method")
    columns: str = "sampling_rate"
    metric: str = "test/top1"
    unit: str = "%"
    best: Literal["highest", "lowest"] = "highest"
    decimals: NonNegativeInt = 2
    contrast: Contrast | None = None


class Stage(Frozen):
    """A cell whose checkpoint others start from; what is not given is the child's."""

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
