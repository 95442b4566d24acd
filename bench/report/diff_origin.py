"""What differs in the origin of two sets of records: settings, code, data, weights, machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.records.record import Record
from bench.report.provenance import origins
from bench.report.setting.facts import flat
from bench.report.setting.tables import value_text


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
        left, right = flat(first.cell["settings"]), flat(second.cell["settings"])
        for name in dict.fromkeys([*left, *right]):
            one, other = (value_text(f[name]) if name in f else "" for f in (left, right))
            if one != other:
                found[name, one, other] += 1
    return found


def _values(records: Sequence[Record]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for what, of, value, _ in origins(records):
        found.setdefault((what, of), []).append(value)
    return found
