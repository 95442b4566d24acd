"""The catalogue: a typed entry for every dataset of the papers. Reads no dataset."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bench.errors import SpecError, did_you_mean
from bench.spec.recipe import Frozen, Items

FILE = Path(__file__).with_name("catalogue.yaml")
Kind = Literal["hub", "text", "digits", "procedural", "folder", "waymo", "chexpert", "unavailable"]
Modality = Literal["images", "vectors", "tokens", "trajectories"]
Targets = Literal["classes", "numbers", "labels", "boxes", "trajectories"]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Splits(Frozen):
    """Which Hub splits make a split here, concatenated in this order."""

    train: Items[str] = ("train",)
    test: Items[str] = ("test",)


class Rows(Frozen):
    """Expected numbers of rows; absent where no source states them exactly."""

    train: PositiveInt | None = None
    test: PositiveInt | None = None


class Keep(Frozen):
    """Only rows whose ``column`` has this value are taken."""

    column: str
    value: int | str


class Draw(Frozen):
    """At most so many rows a split, in an order drawn by a seed (`bench.data.draw`)."""

    rows: PositiveInt
    seed: NonNegativeInt


class Tokenizer(Frozen):
    """What makes tokens of text: a repository on the Hub, its commit, and the tokens of a row.

    ``padding`` and ``separator`` are the tokens from which a network knows what stands for nothing
    and what is of the second text.
    """

    hub: str
    revision: Revision
    length: PositiveInt
    padding: NonNegativeInt
    separator: NonNegativeInt


class Masking(Frozen):
    """Tokens of a set that objectives must know: the one for a masked one, and the first word."""

    mask: NonNegativeInt
    first: NonNegativeInt


class DatasetEntry(Frozen):
    """What is known of a dataset, and how it is had.

    Attributes
    ----------
    kind
        ``hub``: images in Parquet files on the Hugging Face Hub. ``text``: texts there, or pairs of
        them, as tokens. ``digits``: scikit-learn's. ``procedural``:
        generated here. ``folder``: the user's own image folder, which the suite names under
        ``datasets:``. ``waymo``: Waymo's licensed files (`bench.data.sources.waymo`).
        ``chexpert``: CheXpert's (`bench.data.sources.chexpert`).
        ``unavailable``: cannot be had or cannot be used; ``reason`` says why.
    modality
        What a row is. All but ``images`` are arrays, taken as they are.
    targets
        ``classes``; ``numbers``; ``labels``, zeros and ones; ``boxes``, four numbers
        (`bench.parts.objectives.boxes`); or ``trajectories``, states to come
        (`bench.data.trajectories`).
    hub, revision, config
        Hub id, pinned commit (absent: none is known in full, see ``notes``) and configuration;
        of ``waymo`` the configuration is the type of agents.
    image, text, label
        Columns.
    tokenizer
        What makes tokens of the columns ``text``.
    masking
        Of tokens: the one that stands for a masked one, and the first that is a word.
    drop_labels
        Values of the label column that are left out; the others are renumbered.
    test_fraction
        Of each class's rows, the part that is made the test split (a fixed rule) where no
        official one exists.
    draw
        Which rows are taken, where a paper takes some: of ``hub`` at most so many of each split; of
        ``chexpert`` the first so many of the training list train, as many after them test.
    repeats
        Whether an image may be several training rows, so that none can be held out.
    classes
        Number of classes, checked when the data is read.
    terms
        Page with the terms to accept, where the repository is gated.
    digest
        SHA-256 of the whole set where it is fixed by this package: procedural sets and digits.
    papers
        Ids of the papers that use it.
    """

    name: str = ""
    kind: Kind
    title: str
    modality: Modality = "images"
    targets: Targets = "classes"
    classes: PositiveInt | None = None
    hub: str | None = None
    revision: Revision | None = None
    config: str | None = None
    splits: Splits = Splits()
    rows: Rows = Rows()
    image: str = "image"
    text: Items[str] = ()
    tokenizer: Tokenizer | None = None
    masking: Masking | None = None
    label: str = "label"
    keep: Keep | None = None
    drop_labels: Items[int] = ()
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    draw: Draw | None = None
    repeats: bool = False
    terms: str | None = None
    licence: str = "not stated"
    source: str | None = None
    evidence: str | None = None
    digest: Digest | None = None
    reason: str | None = None
    notes: str | None = None
    papers: Items[str] = ()

    @property
    def gated(self) -> bool:
        """Whether terms must be accepted before the data can be downloaded."""
        return self.terms is not None

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> DatasetEntry:
        needed = {
            "hub": ("hub", "classes"),
            "text": ("hub", "classes", "tokenizer"),
            "digits": ("classes", "digest"),
            "procedural": ("classes", "digest") if self.targets == "classes" else ("digest",),
            "folder": ("classes", "reason"),
            "waymo": ("config",),
            "chexpert": ("draw",),
            "unavailable": ("reason",),
        }[self.kind]
        absent = [field for field in needed if getattr(self, field) is None]
        if absent:
            raise ValueError(f"a {self.kind} entry needs {', '.join(absent)}")
        if self.kind == "text" and not (len(self.text) in (1, 2) and self.modality == "tokens"):
            raise ValueError("a text entry has one or two columns of text, and modality: tokens")
        if self.kind == "hub" and self.revision is None and self.notes is None:
            raise ValueError("an entry without a pinned revision needs notes that say why")
        return self


@lru_cache(maxsize=1)
def _documents() -> dict[str, dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, dict[str, Any]] = yaml.load(FILE.read_text(encoding="utf-8"), loader)
    return data


def names() -> tuple[str, ...]:
    """Return the names of all datasets, in the catalogue's order."""
    return tuple(_documents())


@lru_cache(maxsize=256)
def entry(name: str) -> DatasetEntry:
    """Return a dataset's entry.

    Raises
    ------
    SpecError
        If the catalogue has no such dataset.
    """
    known = _documents()
    if name not in known:
        near = did_you_mean(name, known, "bench list datasets")
        raise SpecError(f"no dataset {name!r} in the catalogue", remedy=near)
    return DatasetEntry.model_validate({**known[name], "name": name})
