"""When a done record may be used: made by today's code, settings, data, weights and parents."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.records.fractions import fractions_of
from bench.records.record import Record
from bench.spec.cell import START, Cell, Train


@dataclass(frozen=True)
class Expectations:
    """What a record made now would say of its origin; what is not known is not compared.

    Attributes
    ----------
    code
        Unit to the digest of its code; see :mod:`bench.records.code`.
    units
        Cell's id to the units that its numbers depend on.
    data
        Dataset to the digest of all its splits; None where it is not known without loading.
    weights
        A cell's ``weights`` (``shipped:NAME``, ``file:NAME``) to the SHA-256 of the file.
    fractions
        Names of the metrics and curves whose values lie between 0 and 1.
    versions
        Library to its version here; a record made by another is stale. None are compared where
        it is empty.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data: Mapping[str, str | None] = field(default_factory=dict)
    weights: Mapping[str, str | None] = field(default_factory=dict)
    fractions: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)

    def code_of(self, cell: Cell) -> dict[str, str]:
        """Return the code digests that a cell's record should have."""
        units = self.units.get(cell.id, ())
        return {unit: self.code[unit] for unit in units if unit in self.code}

    def whole_code_of(self, cell: Cell) -> dict[str, str]:
        """Return the same where the digest of each of the cell's units is known; else nothing."""
        code = self.code_of(cell)
        return code if len(code) == len(self.units.get(cell.id, ())) else {}


def stale_reasons(
    record: Record,
    cell: Cell,
    expected: Expectations,
    parents: Mapping[str, Container[str]],
    *,
    carried: bool = False,
    candidate: int | None = None,
) -> tuple[str, ...]:
    """Return why a done record may not be used; nothing if it is fresh.

    Parameters
    ----------
    parents
        Role to the digests of that artifact in the parent's fresh records.
    carried
        Whether an attestation carries the record to today's code: then its code is no reason.
    candidate
        Of a cell that is tuned, the one that its choice's fresh record has chosen.

    Returns
    -------
    tuple of str
        Of ``code: UNIT``, ``settings: PATH``, ``data``, ``weights``, ``version: LIBRARY``,
        ``parent: ROLE``.
    """
    made = record.outcome.provenance
    reasons = [
        f"code: {name}"
        for name, digest in sorted(_code(record, cell, expected).items())
        if not carried and made.code.get(name) != digest
    ]
    then = record.cell.get("settings", {})
    reasons += [f"settings: {path}" for path in differing(then, cell.settings_by(candidate))]
    if _data_changed(made.data, cell, expected):
        reasons.append("data")
    if _weights_changed(made.weights, cell, expected):
        reasons.append("weights")
    reasons += [
        f"version: {name}"
        for name, version in sorted(expected.versions.items())
        if made.versions.get(name, version) != version
    ]
    for role in sorted(cell.parents):
        used = made.parents.get(role, {})
        same = used.get("id") == cell.parents[role].id
        if not same or used.get("sha256", "") not in parents[role]:
            reasons.append(f"parent: {role}")
    return tuple(reasons)


def _data_changed(made: Mapping[str, Any], cell: Cell, expected: Expectations) -> bool:
    used = [(task.dataset, made.get(of_task(name, "dataset"))) for name, task in cell.tasks.items()]
    # Of a source whose forgetting was measured the test split is read too; its training images
    # alone are in the parent's checkpoint.
    used += made.get("sources", {}).items()
    return any(expected.data.get(name) not in (None, digest) for name, digest in used)


def of_task(task: str, fact: str) -> str:
    """Return the name under which a task's fact is recorded; a single task has no name."""
    return f"{task}/{fact}" if task else fact


def _weights_changed(
    made: Mapping[str, Mapping[str, str]], cell: Cell, expected: Expectations
) -> bool:
    for role, named in _starts(cell):
        now = expected.weights.get(named)
        # A measurement may leave a network alone.
        looked_at = role in made or isinstance(cell.work, Train)
        if now is not None and looked_at and made.get(role, {}).get("file") != now:
            return True
    return False


def _starts(cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield role and weights of each network that a cell begins with."""
    if isinstance(cell.work, Train):
        yield START, cell.work.weights
    else:
        yield from ((role, start.weights) for role, start in cell.work.starts.items())


def _code(record: Record, cell: Cell, expected: Expectations) -> dict[str, str]:
    # A record may name more code than the cell's own parts; what we know of it must agree.
    named = {n: expected.code[n] for n in record.outcome.provenance.code if n in expected.code}
    return {**named, **expected.code_of(cell)}


def differing(made: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the settings that a record has and that are others now.

    A setting that the record lacks is newer than it and counts for nothing: what it was made
    by then is what the setting's default stands for, else its code would have changed too.
    """
    if made == now:
        return
    if isinstance(made, Mapping) and isinstance(now, Mapping):
        for name in sorted(made):
            inner = f"{path}.{name}" if path else str(name)
            if name not in now:
                yield inner
            else:
                yield from differing(made[name], now[name], inner)
    elif isinstance(made, list) and isinstance(now, list) and len(made) == len(now):
        for index, (then, today) in enumerate(zip(made, now, strict=True)):
            # A part in use is its name to its settings: the name says which of them it is.
            named = isinstance(then, Mapping) and len(then) == 1
            yield from differing(then, today, path if named else f"{path}.{index}")
    else:
        yield path


def beyond_range(record: Record, fractions: Iterable[str] = ()) -> str | None:
    """Return what is wrong with a record in which a fraction is none, for its reader; else None.

    Parameters
    ----------
    fractions
        Names of fractions, beside those that its own parts declare.
    """
    outcome = record.outcome
    fractions = fractions_of(record).union(fractions)
    for name, value in outcome.metrics.items():
        if name in fractions and not 0.0 <= value <= 1.0:
            return f"{name} is {value}, and a fraction lies between 0 and 1"
    for name, curve in outcome.curves.items():
        if name in fractions and curve.value and not _are_fractions(curve.value):
            return f"the curve {name} leaves the range of a fraction, from 0 to 1"
    return None


def _are_fractions(values: Sequence[float]) -> bool:
    # Neither the least nor the greatest need be what is not a number; their sum is.
    return min(values) >= 0.0 and max(values) <= 1.0 and not math.isnan(sum(values))


def digests_of(name: str, records: Iterable[Record]) -> frozenset[str]:
    """Return the digests of the artifact of a name in these records."""
    return frozenset(
        record.outcome.artifacts[name].sha256
        for record in records
        if name in record.outcome.artifacts
    )
