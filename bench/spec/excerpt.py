"""An excerpt of suites: the cells that ``--only`` names, and all that they start from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.errors import SpecError, did_you_mean
from bench.spec.cell import SEED, PlannedCell, Scalar

if TYPE_CHECKING:
    from bench.spec.plan import Plan

# Of a cell that is in the excerpt because another starts from it, and was the table's as well.
_BEHIND = "start"


@dataclass(frozen=True)
class Excerpt:
    """What ``--only`` names: of each axis some values.

    Attributes
    ----------
    chosen
        Axis to what was written of it: ``a,b``, values; ``LOW:HIGH``, numbers from LOW to below
        HIGH, either of which may be left out. An axis that was named twice has both.
    """

    chosen: Mapping[str, tuple[str, ...]]

    @property
    def words(self) -> tuple[str, ...]:
        """What ``--only`` takes, one for each axis and text."""
        return tuple(f"{axis}={text}" for axis, texts in self.chosen.items() for text in texts)

    @property
    def options(self) -> tuple[str, ...]:
        """What a command takes to have the same excerpt."""
        return tuple(part for word in self.words for part in ("--only", word))

    @property
    def name(self) -> str:
        """What tells files of this excerpt from those of others, and of the whole suite."""
        digest = hashlib.sha256("\n".join(sorted(self.words)).encode()).hexdigest()
        return f"only-{digest[:8]}"

    def __str__(self) -> str:
        return " ".join(self.words)


def excerpt_of(words: Sequence[str]) -> Excerpt | None:
    """Return the excerpt that texts such as ``method=l2,l2+bss`` name; None of none.

    Raises
    ------
    SpecError
        If one is not AXIS=VALUES.
    """
    chosen: dict[str, list[str]] = {}
    for word in words:
        axis, sign, text = word.partition("=")
        if not (sign and axis.strip() and text.strip()):
            raise SpecError(
                f"{word!r} is not AXIS=VALUES",
                field="--only",
                remedy="write it like method=l2,l2+bss or seed=0:3",
            )
        chosen.setdefault(axis.strip(), []).append(text.strip())
    return Excerpt({axis: tuple(texts) for axis, texts in chosen.items()}) if chosen else None


def excerpted(plans: Sequence[Plan], excerpt: Excerpt) -> list[Plan | None]:
    """Return the excerpt of each plan: None where it names none of the plan's cells.

    What a plan does not have, an axis or a value, another may have: then it is left out.

    Raises
    ------
    SpecError
        If an axis or a value is none of any plan, or together they name no cell.
    """
    known = {axis: _values(plans, axis) for axis in excerpt.chosen}
    allowed = {
        axis: frozenset(_allowed(axis, texts, known[axis], plans))
        for axis, texts in excerpt.chosen.items()
    }
    found = [_excerpt_of_plan(plan, excerpt, allowed) for plan in plans]
    if not any(found):
        raise SpecError(
            f"no cell has all of: {excerpt}",
            field="--only",
            remedy="each is there, but not at one place; leave one out",
        )
    return found


def _values(plans: Sequence[Plan], axis: str) -> list[Scalar]:
    """Return the values of an axis at which there are cells, in the plans' order."""
    return list(
        dict.fromkeys(
            value
            for plan in plans
            for value in (map(_seed_of, plan.shown) if axis == SEED else _of_places(plan, axis))
            if value is not None
        )
    )


def _seed_of(planned: PlannedCell) -> Scalar | None:
    return planned.seed


def _of_places(plan: Plan, axis: str) -> Iterable[Scalar | None]:
    return (planned.place.get(axis) for planned in plan.shown)


def _allowed(
    axis: str, texts: Sequence[str], known: Sequence[Scalar], plans: Sequence[Plan]
) -> Iterable[Scalar]:
    if not known:
        axes = dict.fromkeys(axis for plan in plans for axis in plan.suite.axes)
        raise SpecError(
            f"there is no axis {axis!r}", field="--only", remedy=did_you_mean(axis, axes)
        )
    spelled = {_spelled(value): value for value in known}
    for text in texts:
        # A value may have a comma in it, or be written like a range.
        for item in [text] if text in spelled else [each.strip() for each in text.split(",")]:
            found = [spelled[item]] if item in spelled else _numbers(item, known)
            if not found:
                raise SpecError(
                    f"{axis} has no value {item!r} here",
                    field="--only",
                    remedy=did_you_mean(item, spelled),
                )
            yield from found


def _spelled(value: Scalar) -> str:
    """Return a value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _numbers(item: str, known: Sequence[Scalar]) -> list[Scalar]:
    """Return the numbers that are meant by another spelling of one, or by a range."""
    numbers = [v for v in known if isinstance(v, int | float) and not isinstance(v, bool)]
    low, colon, high = item.partition(":")
    try:
        if not colon:
            return [v for v in numbers if v == float(item)]
        if not (low or high):
            return []
        begin, end = float(low or "-inf"), float(high or "inf")
    except ValueError:
        return []
    return [v for v in numbers if begin <= v < end]


def _excerpt_of_plan(
    plan: Plan, excerpt: Excerpt, allowed: Mapping[str, frozenset[Scalar]]
) -> Plan | None:
    seeds = allowed.get(SEED)
    axes = [(axis, values) for axis, values in allowed.items() if axis != SEED]
    kept: list[PlannedCell] = []
    behind: set[str] = set()
    needed: set[str] = set()
    # Children before their parents.
    for planned in reversed(plan.cells):
        chosen = (
            planned.shown
            and (seeds is None or planned.seed in seeds)
            and all(planned.place.get(axis) in values for axis, values in axes)
        )
        cell = planned.cell
        if not chosen:
            if cell.id not in needed or cell.id in behind:
                continue
            behind.add(cell.id)
        kept.append(planned if chosen or not planned.shown else _unshown(planned))
        if cell.parents:
            needed.update(parent.id for parent in cell.parents.values())
    if not any(planned.shown for planned in kept):
        return None
    return replace(plan, cells=tuple(reversed(kept)), excerpt=excerpt, whole=plan)


def _unshown(planned: PlannedCell) -> PlannedCell:
    return PlannedCell(planned.cell, {}, None, planned.level, _BEHIND)
