"""By which axes a value is decided, and the value in each case: exactly, and in few words."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

from bench.spec.recipe import Scalar

V = TypeVar("V", bound=Hashable)
Place = Mapping[str, Scalar]


@dataclass(frozen=True)
class Case(Generic[V]):
    """A value, and where it holds: axis to values, each of them; everywhere if empty."""

    value: V
    where: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()


def deciding_axes(
    places: Sequence[Place], values: Sequence[Hashable], axes: Sequence[str]
) -> tuple[str, ...]:
    """Return the smallest set of axes of which the values are a function; the first such set.

    Raises
    ------
    ValueError
        If not even all axes together decide.
    """
    for size in range(len(axes) + 1):
        for chosen in combinations(axes, size):
            if _decide(chosen, places, values):
                return chosen
    raise ValueError(f"{', '.join(axes)} do not decide")


def cases(places: Sequence[Place], values: Sequence[V], axes: Sequence[str]) -> list[Case[V]]:
    """Return the values at places as cases by the smallest set of axes that decides them."""
    chosen = deciding_axes(places, values, axes)
    known = {
        tuple(place[axis] for axis in chosen): value
        for place, value in zip(places, values, strict=True)
    }
    return list(_branches(chosen, known))


def _decide(chosen: Sequence[str], places: Sequence[Place], values: Sequence[Hashable]) -> bool:
    known: dict[tuple[Scalar, ...], Hashable] = {}
    return all(
        known.setdefault(tuple(place[axis] for axis in chosen), value) == value
        for place, value in zip(places, values, strict=True)
    )


def _branches(axes: Sequence[str], known: Mapping[tuple[Scalar, ...], V]) -> Iterator[Case[V]]:
    """Yield a table's cases, an axis after the other; values of one that act alike together."""
    if len(set(known.values())) == 1:
        yield Case(next(iter(known.values())))
        return
    below: dict[Scalar, dict[tuple[Scalar, ...], V]] = {}
    for (first, *rest), value in known.items():
        below.setdefault(first, {})[tuple(rest)] = value
    alike: dict[frozenset[tuple[tuple[Scalar, ...], V]], list[Scalar]] = {}
    for first, inner in below.items():
        alike.setdefault(frozenset(inner.items()), []).append(first)
    for together in alike.values():
        for case in _branches(axes[1:], below[together[0]]):
            yield Case(case.value, ((axes[0], tuple(together)), *case.where))
