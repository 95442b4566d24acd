"""Records of earlier code carried across an edit: today's code, executed again, gives the bits."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.rerun import execute_again
from bench.errors import StoreError
from bench.spec.metrics import of_machine

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.carried import Attestation, Executed, Way
    from bench.records.record import Record
    from bench.records.store import Store
    from bench.scheduling.engines.engine import Engine

# Stale cell to its records that only their code, or a parent of these, keeps from being fresh.
Candidates = Mapping[str, Sequence["Record"]]
_SHOWN = 5


@dataclass(frozen=True)
class Carrying:
    """What became of an attempt to carry records across an edit of the code.

    Attributes
    ----------
    attestation
        What was written; None where nothing was to be carried, or something was not equal.
    elsewhere
        How many cells were left out: another kind of machine made their records.
    problems
        Cell to what is otherwise by today's code.
    """

    attestation: Attestation | None = None
    elsewhere: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)


def carry(session: Session, scratch: Path, engine: Engine, *, asked: int, seed: int) -> Carrying:
    """Execute cells again that are stale by their code alone; if all are equal, attest it.

    Of each distinct map of code, on each kind of machine, at least one is drawn. A cell's parent
    is executed again where its artifact is not here and whole, and is then compared too. The new
    records go to the store in any case: a difference that was found once stays in sight.

    Parameters
    ----------
    scratch
        Empty folder for records and artifacts.

    Raises
    ------
    StoreError
        If there are records already that speak against it, or none of this kind of machine, or
        the store cannot be written.
    """
    from bench.records.merge import merge, stored_content
    from bench.records.store import Store

    supposed = assumed(session)
    supposing = Store(session.store.root, assumed=supposed)
    states = supposing.states(session.plan.unique().values(), session.expected)
    _refuse_contradicted(session, supposed)
    found = {
        cell_id: [record for record in state.fresh if record.attempt in state.carried]
        for cell_id, state in states.items()
        if _is_stale(session, cell_id) and state.carried and state.fresh
    }
    # That other code takes as long as the earlier did is not shown by equal bits.
    found = {i: records for i, records in found.items() if not any(map(_timed, records))}
    if not found:
        return Carrying()
    chosen = _drawn(found, asked, seed)
    with_checkpoint = any("checkpoint" in r.outcome.artifacts for i in chosen for r in found[i])
    there = execute_again(
        replace(session, states=states), scratch, engine, chosen,
        assumed=supposed, keep=frozenset({"checkpoint"} if with_checkpoint else ()),
    )  # fmt: skip
    made = _made_now(session, there)
    now = {cell_id: record for cell_id, record in made.items() if record.done}
    merge(session.store, now.values(), stored_content(there))
    problems = {i: _failure(made.get(i)) for i in chosen if i not in now}
    problems |= _differing(found, now)
    return Carrying(problems=problems) if problems else _attest(session, found, now, seed)


def _timed(record: Record) -> bool:
    """Whether a record has numbers that tell of the machine."""
    return any(map(of_machine, record.outcome.metrics))


def _is_stale(session: Session, cell_id: str) -> bool:
    # One that was begun and stopped is as stale as before.
    return session.states[cell_id].state in ("stale", "interrupted")


def assumed(session: Session) -> list[Attestation]:
    """Return attestations that would carry every stale cell's records to today's code."""
    from bench.records.carried import made_on

    found: dict[str, list[tuple[str, Record]]] = {}
    later = {}
    for cell_id, cell in session.plan.unique().items():
        if _is_stale(session, cell_id):
            later[cell_id] = session.expected.whole_code_of(cell)
            for record in session.store.attempts(cell_id):
                if record.done:
                    found.setdefault(repr(made_on(record)), []).append((cell_id, record))
    attestations = []
    for of_kind in found.values():
        records = [record for _, record in of_kind]
        ways = _ways(records, later)
        if ways:
            attestations.append(_attestation(session, records[0], ways, seed=0))
    return attestations


def _ways(records: Sequence[Record], later: Mapping[str, Mapping[str, str]]) -> list[Way]:
    """Return the ways from the records' code to their cells' code by later, unit by unit."""
    from bench.records.carried import Way

    cells: dict[str, dict[str, None]] = {}
    maps: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {}
    for record in records:
        code, then = record.outcome.provenance.code, later[record.id]
        if code and code.keys() == then.keys() and code != then:
            key = repr((sorted(code.items()), sorted(then.items())))
            maps[key] = (code, then)
            cells.setdefault(key, {})[record.id] = None
    return [
        Way(earlier=dict(maps[key][0]), later=dict(maps[key][1]), cells=tuple(sorted(cells[key])))
        for key in sorted(cells)
    ]


def _attestation(
    session: Session, record: Record, ways: Sequence[Way], *, seed: int
) -> Attestation:
    from bench.records.carried import Attestation, made_on

    machine, versions = made_on(record)
    return Attestation(
        suite=f"{session.plan.paper.id}/{session.plan.suite.name}",
        profile=session.plan.profile,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        machine=dict(machine),
        versions=dict(versions),
        ways=tuple(ways),
    )


def _refuse_contradicted(session: Session, assumed: Sequence[Attestation]) -> None:
    from bench.records.carried import contradictions

    everything = tuple(session.plan.unique())
    ways = [way.model_copy(update={"cells": everything}) for a in assumed for way in a.ways]
    found = [
        f"{i} (attempts {a} and {b})" for i, a, b in contradictions(ways, session.store.attempts)
    ]
    if found:
        shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise StoreError(
            f"today's code has already given other numbers than the earlier: {shown}",
            file=session.store.root,
            remedy="`bench run` executes what is stale",
        )


def _drawn(found: Candidates, asked: int, seed: int) -> list[str]:
    """Return cells at random: one at least of each map of code and kind of machine."""
    from bench.records.carried import made_on

    order = random.Random(seed).sample(sorted(found), len(found))
    seen: set[str] = set()
    chosen: dict[str, None] = {}
    for cell_id in order:
        strata = {
            repr((made_on(record), sorted(record.outcome.provenance.code.items())))
            for record in found[cell_id]
        }
        if not strata <= seen:
            chosen[cell_id] = None
            seen |= strata
    for cell_id in order:
        if len(chosen) < asked:
            chosen[cell_id] = None
    return list(chosen)


def _made_now(session: Session, there: Store) -> dict[str, Record]:
    """Return the last record of each cell that was not copied but made there."""
    from bench.records.codec import content_sha256

    made = {}
    for cell_id in there.layout.matching(""):
        known = set(map(content_sha256, session.store.attempts(cell_id)))
        for record in there.attempts(cell_id):
            if content_sha256(record) not in known:
                made[cell_id] = record
    return made


def _failure(record: Record | None) -> str:
    failure = record.outcome.failure if record is not None else None
    return failure.message if failure is not None else "it was not executed"


def _differing(found: Candidates, now: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    from bench.records.carried import made_on, otherwise

    for cell_id, record in now.items():
        for then in found.get(cell_id, ()):
            differing = otherwise(then, record) if made_on(then) == made_on(record) else []
            if differing:
                yield cell_id, f"{', '.join(differing)} not those of attempt {then.attempt}"


def _attest(session: Session, found: Candidates, now: Mapping[str, Record], seed: int) -> Carrying:
    """Write down that all that was executed again is equal, for the records of this machine."""
    from bench.records.carried import adopt, dump_attestation, made_on

    one = next(iter(now.values()))
    ours = [r for of in found.values() for r in of if made_on(r) == made_on(one)]
    if not ours:
        raise StoreError(
            "the stale records were made on another kind of machine, or with other versions of "
            "libraries, and are carried only by executing them again there",
            file=session.store.root,
        )
    cells = session.plan.unique()
    later = {r.id: session.expected.whole_code_of(cells[r.id]) for r in ours}
    ways = [
        way.model_copy(update={"executed": tuple(_executed(way, ours, now))})
        for way in _ways(ours, later)
    ]
    attestation = _attestation(session, one, ways, seed=seed)
    adopt(session.store.layout, dump_attestation(attestation).encode(), session.store.attempts)
    return Carrying(attestation, elsewhere=len(found.keys() - attestation.cells))


def _executed(way: Way, records: Sequence[Record], now: Mapping[str, Record]) -> Iterator[Executed]:
    from bench.records.carried import Executed
    from bench.records.codec import content_sha256

    for then in records:
        if then.id in now and then.outcome.provenance.code == way.earlier:
            pair = content_sha256(then), content_sha256(now[then.id])
            yield Executed(cell=then.id, then=pair[0], now=pair[1])
