"""What differs in the origin of two sets of records: settings, code, data, weights, machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.record import Record
from bench.report.provenance import origins

# Names of a cell, not settings of it.
_NAMES = ("id", "seed", "parents")


@dataclass(frozen=True)
class Differing:
    """One fact that the two sides do not share; empty where a side has no such fact."""

    what: str
    of: str
    a: tuple[str, ...]
    b: tuple[str, ...]


def differing_origins(a: Sequence[Record], b: Sequence[Record]) -> list[Differing]:
    """Return code, data, weights, versions and machines that only one side has."""
    left, right = _values(a), _values(b)
    return [
        Differing(what, of, tuple(left.get((what, of), ())), tuple(right.get((what, of), ())))
        for what, of in dict.fromkeys([*left, *right])
        if set(left.get((what, of), ())) != set(right.get((what, of), ()))
    ]


def differing_settings(pairs: Iterable[tuple[Record, Record]]) -> Counter[tuple[str, str, str]]:
    """Return (setting, value in A, value in B) to how many pairs of cells differ in it."""
    found: Counter[tuple[str, str, str]] = Counter()
    for first, second in pairs:
        if first.id == second.id:
            continue
        left, right = dict(_flat(first.cell)), dict(_flat(second.cell))
        for name in dict.fromkeys([*left, *right]):
            one, other = left.get(name, ""), right.get(name, "")
            if one != other:
                found[name, one, other] += 1
    return found


def _values(records: Sequence[Record]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for what, of, value, _ in origins(records):
        found.setdefault((what, of), []).append(value)
    return found


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if prefix == "" and key in _NAMES:
            continue
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.")
        else:
            yield name, str(inner)
