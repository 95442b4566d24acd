"""The trainings of a search: trials of candidates, and those that train by the chosen one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from bench.spec.parts import PartKey
from bench.spec.recipe import Scalar, Use
from bench.spec.work import Train, canonical_json

# Roles and artifacts: what a trial leaves, and what a choice leaves and is to the final cells.
SCORE = "score"
CHOICE = "choice"
CHOSEN = "chosen by the search"
# What candidates may differ in of a recipe: all else decides what is recorded, what it costs, or
# which rows are seen.
_MAY_DIFFER = (
    "augmentation", "batch_size", "batches", "head_bias", "head_init", "optimizer", "precision",
    "scalar_rate", "schedule",
)  # fmt: skip
_ALIKE = ("network", "weights", "tasks", "trainable", "update", "warmup")


@dataclass(frozen=True, eq=False)
class Trial(Train):
    """A training of which a search asks for one metric of rows that were held out.

    It is done even where it diverges: then its score is worse than any number.
    """

    score: str = ""

    key = "trial"
    kind = "trial"


@dataclass(frozen=True)
class Candidate:
    """Values of the searched axes, and the training that they make of a cell."""

    values: Mapping[str, Scalar]
    work: Train


@dataclass(frozen=True, eq=False)
class Tuned(Train):
    """A training by one of several candidates: its parent in the role ``choice`` says which.

    Its own fields are those of any candidate in which all agree; in parts, what they differ in
    reads `CHOSEN`, and of the recipe it is the first one's and must not be read: `settings` are
    for reading.
    """

    candidates: tuple[Candidate, ...] = ()

    key = "tuned"

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON: each candidate's values, and the digest of its training's."""
        told = [
            {
                "train": hashlib.sha256(each.work.canonical.encode()).hexdigest(),
                "values": dict(each.values),
            }
            for each in self.candidates
        ]
        return canonical_json({self.key: told})

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting; those in which candidates differ read `CHOSEN`."""
        agreed: dict[str, Any] = agreement([each.work.settings for each in self.candidates])
        return agreed

    @cached_property
    def parts(self) -> tuple[PartKey, ...]:
        """Kind and name of every part that a candidate uses."""
        return tuple(dict.fromkeys(part for each in self.candidates for part in each.work.parts))


def trial_of(work: Train, score: str) -> Trial:
    """Return a training as a trial that is scored by a metric."""
    return Trial(**_own(work), score=score)


def tuned_of(candidates: Sequence[Candidate]) -> Tuned:
    """Return the training by one of several candidates that agree, as `disagreement` tells."""
    works = [each.work for each in candidates]
    own = _own(works[0])
    for kind in ("penalties", "patches"):
        each = zip(*(getattr(work, kind) for work in works), strict=True)
        own[kind] = tuple(map(_agreed_use, each))
    return Tuned(**own, candidates=tuple(candidates))


def disagreement(works: Sequence[Train]) -> str | None:
    """Return the first setting in which candidates differ and must not; None where in none.

    What they have in common is what is recorded of them and what they cost.
    """
    for name in _ALIKE:
        if len({_text(getattr(work, name)) for work in works}) > 1:
            return name
    for kind in ("penalties", "patches"):
        if len({tuple(use.name for use in getattr(work, kind)) for work in works}) > 1:
            return kind
    for name in type(works[0].recipe).model_fields:
        if name not in _MAY_DIFFER and len({repr(getattr(w.recipe, name)) for w in works}) > 1:
            return f"recipe.{name}"
    return None


def agreement(values: Sequence[Any], otherwise: str = CHOSEN) -> Any:
    """Return values in which several agree; where they differ a text.

    >>> agreement([{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}])
    {'a': 1, 'b': {'c': 'chosen by the search'}}
    """
    first, *others = values
    if all(other == first for other in others):
        return first
    if all(isinstance(value, Mapping) and value.keys() == first.keys() for value in values):
        return {key: agreement([value[key] for value in values], otherwise) for key in first}
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        return [agreement(items, otherwise) for items in zip(*values, strict=True)]
    return otherwise


def _own(work: Train) -> dict[str, Any]:
    return {field.name: getattr(work, field.name) for field in fields(Train)}


def _agreed_use(uses: Sequence[Use]) -> Use:
    settings, given = ([dict(getattr(use, n)) for use in uses] for n in ("settings", "given"))
    # A value that is the part's default is not given.
    every = {key for values in given for key in values}
    common = {key: agreement([use.settings[key] for use in uses]) for key in sorted(every)}
    return Use(name=uses[0].name, settings=agreement(settings), given=common)


def _text(value: Any) -> str:
    return repr(dict(value)) if isinstance(value, Mapping) else repr(value)
