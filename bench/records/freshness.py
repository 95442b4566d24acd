"""When a done record may be used: made by today's code, data, weights and parents."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.records.layout import PARENT_FILES
from bench.records.record import Record
from bench.spec.cell import Cell


@dataclass(frozen=True)
class Expectations:
    """What a record made now would say of its origin; what is not known is not compared.

    Attributes
    ----------
    code
        ``core`` and each part to the digest of its code.
    data
        Dataset to the digest of all its splits; None where it is not known without loading.
    weights
        A cell's ``weights`` (``shipped:NAME``, ``file:NAME``) to the SHA-256 of the file.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str | None] = field(default_factory=dict)
    weights: Mapping[str, str | None] = field(default_factory=dict)

    def code_of(self, cell: Cell) -> dict[str, str]:
        """Return the code digests that a cell's record should have."""
        parts = cell.method.penalties if cell.method is not None else ()
        return {name: self.code[name] for name in ("core", *parts) if name in self.code}


def stale_reasons(
    record: Record,
    cell: Cell,
    expected: Expectations,
    parents: Mapping[str, Container[str]],
) -> tuple[str, ...]:
    """Return why a done record may not be used; nothing if it is fresh.

    Parameters
    ----------
    parents
        Role to the digests of that artifact in the parent's fresh records.

    Returns
    -------
    tuple of str
        Of ``code: NAME``, ``data``, ``weights``, ``parent: ROLE``.
    """
    made = record.outcome.provenance
    reasons = [
        f"code: {name}"
        for name, digest in sorted(_code(record, cell, expected).items())
        if made.code.get(name) != digest
    ]
    data = expected.data.get(cell.dataset)
    other = data is not None and made.data.get("dataset") != data
    if other or _source_changed(made.data, expected):
        reasons.append("data")
    weights = expected.weights.get(cell.weights)
    if weights is not None and made.weights.get("file") != weights:
        reasons.append("weights")
    for role in sorted(cell.parents):
        used = made.parents.get(role, {})
        if used.get("id") != cell.parents[role] or used.get("sha256", "") not in parents[role]:
            reasons.append(f"parent: {role}")
    return tuple(reasons)


def _source_changed(made: Mapping[str, Any], expected: Expectations) -> bool:
    # The source's test split is read too where forgetting was measured; its training images
    # alone are in the parent's checkpoint.
    now = expected.data.get(str(made.get("source")))
    return "source_dataset" in made and now is not None and made["source_dataset"] != now


def _code(record: Record, cell: Cell, expected: Expectations) -> dict[str, str]:
    # A record may name more code than the cell's own parts; what we know of it must agree.
    named = {n: expected.code[n] for n in record.outcome.provenance.code if n in expected.code}
    return {**named, **expected.code_of(cell)}


def digests_for(role: str, records: Iterable[Record]) -> frozenset[str]:
    """Return the digests of the artifact that a child in this role starts from."""
    return frozenset(
        artifact.sha256
        for record in records
        for artifact in record.outcome.artifacts.values()
        if artifact.file == PARENT_FILES.get(role)
    )
