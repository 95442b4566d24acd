"""A paper's folder: its citation, notes and claims, and the numbers it reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, PositiveInt, field_validator, model_validator

from bench.errors import SpecError
from bench.spec.claims import Claim
from bench.spec.loader import load_yaml
from bench.spec.naming import Name
from bench.spec.problems import Source, validate
from bench.spec.recipe import Frozen, Items, Scalar

M = TypeVar("M", bound=BaseModel)
_FIXED = ("mean", "spread", "n", "note")


class Note(Frozen):
    """Something a reader must know: in our words, with its source."""

    text: str
    source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data


class Paper(Frozen):
    """A published work: its citation, what its protocol leaves open, and what it asserts."""

    id: Name
    title: str
    authors: Items[str] = ()
    year: int | None = None
    venue: str = ""
    url: str | None = None
    code: str | None = None
    notes: Items[Note] = ()
    claims: Items[Claim] = ()

    @field_validator("claims")
    @classmethod
    def _ids_differ(cls, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        ids = [claim.id for claim in claims]
        repeated = next((name for name in ids if ids.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"two claims have the id {repeated!r}")
        return claims


class ReportedEntry(Frozen):
    """One number as the paper printed it; ``where`` names its axis values."""

    where: dict[str, Scalar]
    mean: float
    spread: float | None = None
    n: PositiveInt | None = None
    note: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _split_axes(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "where" in data:
            return data
        fixed = {key: value for key, value in data.items() if key in _FIXED}
        return {**fixed, "where": {k: v for k, v in data.items() if k not in _FIXED}}


class ReportedTable(Frozen):
    """Numbers of one table of the paper (or of a stated second source)."""

    suite: str
    profile: str = "paper"
    metric: str
    unit: str = "%"
    spread: str
    """What ± means, as far as the source says."""
    spread_is: Literal["standard deviation", "standard error", "95% interval"] | None = None
    """The same for a test to use; only where the source leaves no doubt (an interval: half)."""
    source: str
    entries: Items[ReportedEntry]


class Reported(Frozen):
    """The numbers a paper reports that our suites rebuild, or that its claims are told from."""

    tables: Items[ReportedTable]


def load_paper(folder: Path) -> Paper:
    """Read ``paper.yaml`` of a paper's folder; SpecError if it is missing or wrong."""
    return _load(Paper, folder / "paper.yaml")


def load_reported(folder: Path) -> Reported | None:
    """Read ``reported.yaml`` of a paper's folder; None where there is none."""
    file = folder / "reported.yaml"
    return _load(Reported, file) if file.exists() else None


def _load(model: type[M], file: Path) -> M:
    document = load_yaml(file)
    if not isinstance(document.data, dict):
        raise SpecError("must be a mapping", file=file, line=1)
    return validate(model, document.data, [Source(document)])
