"""Records from elsewhere, taken into a store: each once, none in place of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.files import bytes_sha256, write_whole
from bench.records.artifacts import read_artifact
from bench.records.codec import content_sha256, renamed
from bench.records.lease import Lease, Leases
from bench.records.record import Artifact, Outcome, Record, same_numbers
from bench.records.store import Store

# A record's artifact to its bytes; None where they did not come with it.
Content = Callable[[Record, str], bytes | None]


@dataclass
class Merged:
    """What became of the records of an import.

    Attributes
    ----------
    added, known
        How many were taken in, and how many were there already.
    running
        Cells that a runner has just now: their records were left out.
    others
        Cells of which records by the same code, settings and data have other numbers.
    """

    added: int = 0
    known: int = 0
    running: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def merge(store: Store, records: Iterable[Record], content: Content) -> Merged:
    """Take records into a store as a runner would: by a lease, under a number of their own.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    merged = Merged()
    with Leases(store.layout, ttl=store.ttl) as leases:
        for record in records:
            _take(store, leases, record, content, merged)
    merged.others = sorted(set(merged.others))
    return merged


def _take(store: Store, leases: Leases, record: Record, content: Content, merged: Merged) -> None:
    there = store.attempts(record.id)
    same = next((o for o in there if content_sha256(o) == content_sha256(record)), None)
    if same is not None:
        _complete(store, same, record, content)
        merged.known += 1
        return
    lease = leases.claim(record.id, at_least=record.attempt)
    if lease is None:
        merged.running.append(record.id)
        return
    if not leases.commit(lease, _placed(record, lease, content)):
        merged.running.append(record.id)
        return
    merged.added += 1
    if any(_contradicts(record, other) for other in there):
        merged.others.append(record.id)


def _complete(store: Store, there: Record, record: Record, content: Content) -> None:
    """Write artifacts of a record that is there already, where they come only now."""
    folder = store.layout.cell(there.id)
    for name, artifact in there.outcome.artifacts.items():
        path = folder.artifact(artifact.file)
        own = folder.is_artifact(there.attempt, name, artifact.file)
        if own and not path.exists():
            found = content(record, name)
            if found is not None and bytes_sha256(found) == artifact.sha256:
                write_whole(path, found)


def _contradicts(one: Record, other: Record) -> bool:
    """Whether two done records of a cell, alike in all that both tell of, have other numbers."""
    made, theirs = one.outcome.provenance, other.outcome.provenance
    return (
        one.done
        and other.done
        # A unit, fact or setting more in one of them is no reason for other numbers.
        and bool(made.code.keys() & theirs.code.keys() or made.code == theirs.code)
        and _agree(made.code, theirs.code)
        and _agree(made.data, theirs.data)
        and _agree(one.cell["settings"], other.cell["settings"])
        and not same_numbers(one.outcome, other.outcome)
    )


def _agree(one: Any, other: Any) -> bool:
    """Whether two values are equal, of mappings all that both have."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_agree(one[name], other[name]) for name in one.keys() & other.keys())
    return bool(one == other)


def _placed(record: Record, lease: Lease, content: Content) -> Record:
    """Write the artifacts that came with a record; return it under its lease's number."""
    artifacts = {}
    for name, artifact in record.outcome.artifacts.items():
        file = renamed(artifact.file, record.attempt, lease.attempt)
        artifacts[name] = Artifact(file, artifact.sha256)
        # A record from elsewhere may name any file: none but an artifact's own is written.
        own = lease.folder.is_artifact(lease.attempt, name, file)
        found = content(record, name) if own else None
        if found is not None and bytes_sha256(found) == artifact.sha256:
            write_whole(lease.folder.artifact(file), found)
    outcome: Outcome = replace(record.outcome, artifacts=artifacts)
    return replace(record, attempt=lease.attempt, outcome=outcome)


def stored(store: Store) -> Iterable[Record]:
    """Yield every readable record of a store, cell by cell."""
    for cell_id in store.layout.matching(""):
        yield from store.attempts(cell_id)


def stored_content(store: Store) -> Content:
    """Return what reads the artifacts of a store's records, those that are whole."""

    def read(record: Record, name: str) -> bytes | None:
        artifact = record.outcome.artifacts[name]
        path: Path = store.layout.cell(record.id).artifact(artifact.file)
        try:
            return read_artifact(path, artifact.sha256)
        except StoreError:
            return None

    return read
