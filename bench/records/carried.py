"""Attestations: cells of earlier code that later code, executed again, gave the same bits.

An attestation carries the records of the cells that were drawn from across an edit of the code,
and no others: not those of another suite, machine or version of a library. It is one immutable
file, ``{"format":1,"attestation":{…},"sha256":"…"}``, named by that digest, and holds only as long
as the records that it names are in the store, and say what it says of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from bench.errors import StoreError
from bench.files import bytes_sha256, write_once
from bench.records.codec import content_sha256
from bench.records.fields import CellId, Sha256
from bench.records.layout import Layout
from bench.records.record import Record, same_numbers
from bench.spec.recipe import Frozen
from bench.spec.work import canonical_json

log = logging.getLogger(__name__)
FORMAT = 1
Code = Mapping[str, str]
# A machine's facts, and the versions of its libraries.
Kind = tuple[Mapping[str, str], Mapping[str, str]]
Attempts = Callable[[str], list[Record]]


class Executed(Frozen):
    """A cell that was executed again: the digests of both records, without their numbers."""

    cell: CellId
    then: Sha256
    now: Sha256


class Way(Frozen):
    """From a whole map of units to their digests to another, for some cells.

    Attributes
    ----------
    cells
        All that were drawn from: those whose records are carried.
    executed
        Those of them that were drawn.
    """

    earlier: dict[str, str]
    later: dict[str, str]
    cells: tuple[CellId, ...]
    executed: tuple[Executed, ...] = ()


class Attestation(Frozen):
    """What was executed again, where and when (UTC, ISO 8601), and gave the same bits.

    Attributes
    ----------
    seed
        Of the draw.
    versions
        Library to version; not Retable's own, whose code is what this is about.
    """

    suite: str
    profile: str
    made: str
    seed: int
    machine: dict[str, str]
    versions: dict[str, str]
    ways: Annotated[tuple[Way, ...], Field(min_length=1)]

    @property
    def kind(self) -> Kind:
        """The kind of machine on which both records of each cell were made."""
        return self.machine, self.versions

    @property
    def cells(self) -> frozenset[str]:
        """All cells that were drawn from."""
        return frozenset(cell for way in self.ways for cell in way.cells)

    @property
    def executed(self) -> frozenset[str]:
        """All cells that were executed again."""
        return frozenset(one.cell for way in self.ways for one in way.executed)


class _Sealed(Frozen):
    format: Literal[1]
    attestation: Attestation
    sha256: Sha256


def made_on(record: Record) -> Kind:
    """Return on what kind of machine a record was made."""
    made = record.outcome.provenance
    # Retable's own code has digests: the name of its release says less.
    versions = {name: v for name, v in made.versions.items() if name != "retable"}
    return made.machine, versions


def otherwise(then: Record, now: Record) -> list[str]:
    """Return what two records of one cell have otherwise, and must not for the one to stand.

    Any metric or curve; and of what both tell: the bytes of an artifact, facts of the data, the
    state begun with, the bytes of a parent's artifact.
    """
    one, other = then.outcome, now.outcome
    found = [] if same_numbers(one, other) else ["numbers"]
    made, again = one.provenance, other.provenance
    pairs: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
        "artifact": (one.artifacts, other.artifacts),
        "data": (made.data, again.data),
        "weights": (made.weights, again.weights),
        "parent": (made.parents, again.parents),
    }
    for what, (ours, theirs) in pairs.items():
        common = sorted(ours.keys() & theirs.keys())
        found += [f"{what} {name}" for name in common if _fact(ours[name]) != _fact(theirs[name])]
    return found


def contradicts(then: Record, now: Record) -> bool:
    """Whether two records, begun with the same bytes on one kind of machine, differ."""
    differing = otherwise(then, now) if made_on(then) == made_on(now) else []
    return bool(differing) and not any(what.startswith("parent ") for what in differing)


def _fact(value: Any) -> Any:
    digest = value.get("sha256") if isinstance(value, Mapping) else getattr(value, "sha256", None)
    return value if digest is None else digest


def dump_attestation(attestation: Attestation) -> str:
    """Return an attestation as it is written."""
    digest = _digest(attestation)
    data = {"format": FORMAT, "attestation": attestation.model_dump(mode="json"), "sha256": digest}
    return canonical_json(data) + "\n"


def load_attestation(text: bytes) -> Attestation:
    """Return the attestation that :func:`dump_attestation` wrote.

    Raises
    ------
    ValueError
        If the text is none, or not as it was written.
    """
    try:
        attestation = _Sealed.model_validate_json(text).attestation
    except ValidationError as error:
        raise ValueError(f"is not an attestation: {error.errors()[0]['msg']}") from None
    if dump_attestation(attestation).encode() != text:
        raise ValueError("is not the attestation that was written: its digest is another")
    return attestation


def file_of(layout: Layout, attestation: Attestation) -> Path:
    """Return where an attestation lies in a store."""
    return layout.carried / f"{_digest(attestation)}.json"


def _digest(attestation: Attestation) -> str:
    return bytes_sha256(canonical_json(attestation.model_dump(mode="json")).encode())


def doubt(attestation: Attestation, attempts: Attempts) -> str:
    """Return why an attestation does not hold in a store; nothing if it does.

    Parameters
    ----------
    attempts
        Reads all records of a cell.
    """
    for way in attestation.ways:
        if not way.earlier or way.earlier.keys() != way.later.keys():
            return "the two maps of code do not have the same units"
        if not way.executed:
            return "for some of its cells none was executed again"
        for one in way.executed:
            if one.cell not in way.cells:
                return f"cell {one.cell} was executed again and is not one of those drawn from"
            if why := _doubt_of(one, way, attestation.kind, attempts(one.cell)):
                return f"cell {one.cell}: {why}"
    return ""


def _doubt_of(one: Executed, way: Way, kind: Kind, records: Iterable[Record]) -> str:
    by_digest = {content_sha256(record): record for record in records}
    then, now = by_digest.get(one.then), by_digest.get(one.now)
    if then is None or now is None:
        return "the record that it names is not here: `bench import` brings it"
    if (_code(then), _code(now)) != (way.earlier, way.later):
        return "its records were made by other code than it says"
    if not (then.done and now.done) or not (made_on(then) == made_on(now) == kind):
        return "its records are not both done on the kind of machine that it says"
    differing = otherwise(then, now)
    return f"its records differ: {', '.join(differing)}" if differing else ""


def named_records(attestation: Attestation, attempts: Attempts) -> Iterator[Record]:
    """Yield the records of the cells that were executed again: those by both codes."""
    for way in attestation.ways:
        for one in way.executed:
            for record in attempts(one.cell):
                if content_sha256(record) in (one.then, one.now):
                    yield record


def contradictions(ways: Iterable[Way], attempts: Attempts) -> Iterator[tuple[str, int, int]]:
    """Yield each cell of these ways of which there are records by both codes that differ.

    With it come the number of the attempt by earlier code and of that by later code.
    """
    ends: dict[str, list[Way]] = {}
    for way in ways:
        for cell in way.cells:
            ends.setdefault(cell, []).append(way)
    for cell, through in sorted(ends.items()):
        records = [record for record in attempts(cell) if record.done]
        for way in through if len(records) > 1 else ():
            earlier = [r for r in records if _code(r) == way.earlier]
            later = [r for r in records if _code(r) == way.later]
            for then in earlier:
                yield from (
                    (cell, then.attempt, now.attempt) for now in later if contradicts(then, now)
                )


def _code(record: Record) -> dict[str, str]:
    return dict(record.outcome.provenance.code)


class Attestations:
    """The attestations of a store that hold, each looked at once.

    Parameters
    ----------
    assumed
        Attestations that are taken for true, to see what they would carry.

    Attributes
    ----------
    broken
        Files that are no attestations, or do not hold, with the reason: reported, not used.
    """

    def __init__(
        self, layout: Layout, attempts: Attempts, assumed: Sequence[Attestation] = ()
    ) -> None:
        self._layout = layout
        self._attempts = attempts
        self._seen: set[str] = set()
        self._ways: dict[str, list[tuple[Attestation, Way]]] = {}
        self.broken: dict[Path, str] = {}
        self.holding: list[Attestation] = []
        for attestation in assumed:
            self._add(attestation)

    def look(self) -> None:
        """Take in the files that are new."""
        for name in names(self._layout):
            if name not in self._seen:
                self._seen.add(name)
                self._take(self._layout.carried / name)

    def steps(self, record: Record, today: Code) -> tuple[Attestation, ...]:
        """Return the attestations that carry a record to today's code, one after the other.

        Nothing if none do, or none has to. Both maps of code are whole: a unit more or less is
        other code.
        """
        known = self._ways.get(record.id)
        if not known:
            return ()
        kind = made_on(record)
        ways = [(a, w) for a, w in known if a.kind == kind]
        reached: list[tuple[Code, tuple[Attestation, ...]]] = [(_code(record), ())]
        # It grows as it is read: what is nearest comes first.
        for code, steps in reached:
            if code == today:
                return steps
            for attestation, way in ways:
                if way.earlier == code and all(way.later != known for known, _ in reached):
                    reached.append((way.later, (*steps, attestation)))
        return ()

    def covering(self, record: Record) -> list[Attestation]:
        """Return the attestations that carry a record, to whatever code."""
        code, kind = _code(record), made_on(record)
        return [
            attestation
            for attestation, way in self._ways.get(record.id, ())
            if way.earlier == code and attestation.kind == kind
        ]

    def _take(self, path: Path) -> None:
        try:
            attestation = load_attestation(path.read_bytes())
            why = doubt(attestation, self._attempts)
            if not why and path != file_of(self._layout, attestation):
                why = "has another name than its digest"
        except FileNotFoundError:
            return
        except (ValueError, OSError) as error:
            why = str(error)
        if why:
            self.broken[path] = why
            log.warning("%s carries no record: %s", path, why)
        else:
            self._add(attestation)

    def _add(self, attestation: Attestation) -> None:
        self.holding.append(attestation)
        for way in attestation.ways:
            for cell in way.cells:
                self._ways.setdefault(cell, []).append((attestation, way))


def names(layout: Layout) -> list[str]:
    """Return the names of all files of attestations in a store, sorted."""
    try:
        found = os.listdir(layout.carried)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name.endswith(".json"))


def adopt_all(
    layout: Layout, texts: Mapping[str, bytes], attempts: Attempts
) -> tuple[int, list[str]]:
    """Put attestations from elsewhere into a store; as :func:`adopt`.

    Parameters
    ----------
    texts
        Name, for the person who is told, to content.

    Returns
    -------
    tuple of int and list of str
        How many cells those that were not there before are about; and what was refused, with
        the reason.
    """
    cells: set[str] = set()
    refused = []
    for name, text in texts.items():
        try:
            if adopt(layout, text, attempts):
                cells |= load_attestation(text).cells
        except StoreError as error:
            refused.append(f"{name}: {error.message}")
    return len(cells), refused


def adopt(layout: Layout, text: bytes, attempts: Attempts) -> bool:
    """Put an attestation into a store that has the records it names; False if it was there.

    Raises
    ------
    StoreError
        If it does not hold here, or the store cannot be written.
    """
    try:
        attestation = load_attestation(text)
        why = doubt(attestation, attempts)
    except ValueError as error:
        why = str(error)
    if why:
        raise StoreError(f"an attestation does not hold here: {why}", file=layout.carried)
    file = file_of(layout, attestation)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_once(file, text)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", file=file) from None
    return True
