"""The rule by which a suite's claims are settled, fixed in the store before the first look.

Another choice of looks after some of them were made would void the rule's error rate, so the file
is written once and never changed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from bench.errors import StoreError
from bench.files import bytes_sha256, write_once
from bench.records.layout import Layout
from bench.spec.plan import Plan
from bench.spec.recipe import Frozen

Adopted = Literal["taken", "known", "refused"]
"""What became of a rule from elsewhere; a rule that holds here already stays."""


class SettlingRule(Frozen):
    """Numbers of seeds at which to look, the two-sided level of a claim, and how it is spent."""

    looks: tuple[Annotated[int, Field(ge=2, le=100_000)], ...] = Field(min_length=1)
    # A claim has 5% in all; a rule from elsewhere that gives it more is none.
    alpha: Annotated[float, Field(gt=0, le=0.05)] = 0.05
    spending: Literal["obrien-fleming", "pocock"] = "pocock"

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(a >= b for a, b in pairwise(looks)):
            raise ValueError("looks rise from one to the next")
        return looks


class _Sealed(SettlingRule):
    """A rule as it is written: with the digest of itself, which rules of old lack."""

    sha256: str | None = None


def settling_rule(layout: Layout, plan: Plan) -> SettlingRule | None:
    """Return the rule of a plan's suite and profile in this store; None where there is none yet.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    return _read(_file(layout, plan))


def fix_settling_rule(layout: Layout, plan: Plan, rule: SettlingRule) -> SettlingRule:
    """Fix the rule of a plan's suite and profile, unless one is; return the one that holds.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    return _fix(_file(layout, plan), rule)


def adopt_settling_rule(
    layout: Layout, paper: str, suite: str, profile: str, rule: SettlingRule
) -> Adopted:
    """Fix a rule from elsewhere, unless one is; return what became of it.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    return _adopt(layout.settling(paper, suite, profile), rule)


def adopt_all_rules(layout: Layout, other: Layout) -> dict[Path, Adopted]:
    """Adopt every rule of another store; return what became of the rule in each file.

    Raises
    ------
    StoreError
        If a rule cannot be read, or the store cannot be written.
    """
    adopted = {}
    for file in sorted((other.root / "settling").glob("*.json")):
        rule = _read(file)
        if rule is not None:
            adopted[file] = _adopt(layout.root / "settling" / file.name, rule)
    return adopted


def dump_rule(rule: SettlingRule) -> str:
    """Return a rule as it is written."""
    sealed = _Sealed(**rule.model_dump(), sha256=_digest(rule))
    return sealed.model_dump_json() + "\n"


def load_rule(text: bytes, file: Path) -> SettlingRule:
    """Return the rule that :func:`dump_rule` wrote; ``file`` is named in the error.

    Raises
    ------
    StoreError
        If the text is none, or is not as it was written.
    """
    problem = ""
    try:
        sealed = _Sealed.model_validate_json(text)
    except ValidationError as error:
        problem = f"is not a settling rule: {error.errors()[0]['msg']}"
    else:
        rule = SettlingRule(**sealed.model_dump(exclude={"sha256"}))
        if sealed.sha256 in (None, _digest(rule)):
            return rule
        problem = "is not the settling rule that was written: its digest is another"
    raise StoreError(
        problem,
        file=file,
        remedy="restore it; without its looks the verdicts have no known error rate",
    )


def _digest(rule: SettlingRule) -> str:
    return bytes_sha256(rule.model_dump_json().encode())


def _read(file: Path) -> SettlingRule | None:
    try:
        return load_rule(file.read_bytes(), file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", file=file) from None


def _adopt(file: Path, rule: SettlingRule) -> Adopted:
    there = _read(file)
    if there is None:
        return "taken" if _fix(file, rule) == rule else "refused"
    return "known" if there == rule else "refused"


def _fix(file: Path, rule: SettlingRule) -> SettlingRule:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # As with leases: of two runners one fixes the rule, with its whole content.
        write_once(file, dump_rule(rule))
    except FileExistsError:
        return _read(file) or rule
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", file=file) from None
    return rule


def _file(layout: Layout, plan: Plan) -> Path:
    return layout.settling(plan.paper.id, plan.suite.name, plan.profile)
