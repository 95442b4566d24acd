"""The cell: one fully resolved unit of work, as plain data with a stable id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import BaseModel

from bench.spec.recipe import (
    Augmentation,
    ChannelAttention,
    Frozen,
    HeadInit,
    Image,
    Optimizer,
    Recipe,
    Warmup,
)

Kind = Literal["train", "channel-attention"]
Scalar = str | int | float | bool


class Method(Frozen):
    """What is being compared: a composition of small parts.

    ``penalties`` maps a part's name to its parameters, every default filled in.
    ``head_init`` and ``optimizer`` replace the recipe's where a method brings its own.
    ``warmup`` trains the head alone first; ``trainable`` names the parameters that train.
    """

    penalties: dict[str, dict[str, Scalar]] = {}
    head_init: HeadInit | None = None
    optimizer: Optimizer | None = None
    warmup: Warmup | None = None
    trainable: Literal["all", "head"] = "all"


class AttentionRecipe(Frozen):
    """What a ``channel-attention`` cell depends on beside backbone, weights, data and seed."""

    image: Image
    settings: ChannelAttention
    # The rule that picks inner layers is the part's; the layers' names follow from the backbone.
    augmentation: Augmentation = Augmentation(crop="centre", flip=False)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return _ENCODER.encode(value)


@lru_cache(maxsize=65536)
def _fragment_by_identity(_key: int, model: _Pinned) -> str:
    return canonical_json(
        model.value.model_dump(mode="json", exclude=set(model.exclude), exclude_none=True)
    )


@dataclass(frozen=True, eq=False)
class _Pinned:
    """Holds a model alive while its identity serves as a cache key."""

    value: BaseModel
    exclude: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return hash((id(self.value), self.exclude))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Pinned)
            and other.value is self.value
            and other.exclude == self.exclude
        )


def _fragment(model: BaseModel, exclude: frozenset[str] = frozenset()) -> str:
    # Thousands of cells share one recipe object: dump it once.
    return _fragment_by_identity(id(model), _Pinned(model, exclude))


@dataclass(frozen=True)
class Cell:
    """One unit of work: plain data, hashable, the same on every machine.

    Attributes
    ----------
    kind
        ``train``, or a measurement such as ``channel-attention``.
    backbone
        timm name with its tag, such as ``resnet50.tv_in1k``.
    weights
        ``random``, ``timm``, ``shipped:NAME``, ``file:NAME`` or ``stage`` (then ``parents``
        holds the id of the cell whose checkpoint it is).
    dataset
        Name in the catalogue, or one that the suite defines.
    sampling_rate
        Fraction of each class's training images, in (0, 1].
    seed
        Root of the cell's random streams.
    parents
        Role to id of the cells this one starts from: ``weights``, ``channel-attention``.
    """

    kind: Kind
    backbone: str
    weights: str
    dataset: str
    sampling_rate: float
    seed: int
    recipe: Recipe | AttentionRecipe
    method: Method | None = None
    parents: Mapping[str, str] = field(default_factory=dict)

    def canonical(self) -> str:
        """Return the canonical JSON whose digest is the id."""
        # What does nothing must not make cells differ: the attention settings act through the
        # parent's id, and a method's own head and optimizer replace the recipe's.
        unused = frozenset({"channel_attention"}) if self.kind == "train" else frozenset()
        if self.method is not None:
            replaced = ("head_init", "optimizer")
            unused |= {name for name in replaced if getattr(self.method, name) is not None}
        head = canonical_json(
            {
                "backbone": self.backbone,
                "dataset": self.dataset,
                "kind": self.kind,
                "parents": dict(self.parents),
                "sampling_rate": self.sampling_rate,
                "seed": self.seed,
                "weights": self.weights,
            }
        )
        method = _fragment(self.method) if self.method is not None else "null"
        return f'{{"cell":{head},"method":{method},"recipe":{_fragment(self.recipe, unused)}}}'

    @cached_property
    def id(self) -> str:
        """First 20 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:20]

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and other.id == self.id

    def to_json(self) -> dict[str, Any]:
        """Return the cell as JSON-ready data, the form kept in records."""
        data: dict[str, Any] = json.loads(self.canonical())
        return {"id": self.id, **data["cell"], "method": data["method"], "recipe": data["recipe"]}


@dataclass(frozen=True)
class PlannedCell:
    """A cell in its suite: the axis values that name it there, and its level in the graph.

    ``labels`` maps axis to value (``{"dataset": "glyphs", "method": "l2+bss", …}``); it is
    empty for cells that exist only because others start from them. Level 0 needs nothing.
    """

    cell: Cell
    labels: Mapping[str, Scalar]
    level: int = 0

    @property
    def place(self) -> dict[str, Scalar]:
        """The labels without the seed: what seeds are averaged at."""
        return {axis: value for axis, value in self.labels.items() if axis != "seed"}

    @property
    def seed(self) -> Scalar:
        """The label of the seed, or the cell's own."""
        return self.labels.get("seed", self.cell.seed)

    @property
    def shown(self) -> bool:
        """Whether it is a cell of the table."""
        return bool(self.labels)


@dataclass(frozen=True)
class Resources:
    """Where a suite's own things lie: absolute paths, never part of an id.

    ``folders`` maps a dataset of the suite to its image folder; ``files`` maps a weights name
    to ``(path, number of classes of its head)``; ``plugins`` are Python files with parts.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
