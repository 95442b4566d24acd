"""A record as JSON text and back: canonical, versioned, with a digest of itself; plain data only.

The text is one line, ``{"format":3,"record":{…},"sha256":"…"}``. The digest is of the bytes before
``,"sha256"``, so that no byte of the file can change unseen, and nothing is parsed that was not
written so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from bench.files import bytes_sha256
from bench.records.fields import (
    AttemptFields,
    CellFields,
    OutcomeFields,
    UsageFields,
    read_attempt,
    read_outcome,
    read_record,
)
from bench.records.record import Artifact, Curve, Failure, Outcome, Provenance, Record, Usage
from bench.spec.cell import Cell, id_of
from bench.spec.work import canonical_json

# Records before 3 had no digest of themselves.
FORMAT = 3
_START = b'{"format":%d,"record":' % FORMAT
_MIDDLE = b',"sha256":"'
_END = b'"}\n'
_DIGITS = 64


class BrokenRecord(ValueError):
    """A text is not a record; the message says why."""


class OtherFormat(BrokenRecord):
    """A record is whole, but made by an older or newer Retable."""


def dump_outcome(outcome: Outcome) -> str:
    """Return an outcome as canonical JSON."""
    return canonical_json(_outcome_data(outcome))


def load_outcome(text: str | bytes) -> Outcome:
    """Return the outcome that :func:`dump_outcome` wrote.

    Raises
    ------
    BrokenRecord
        If the text is not one.
    """
    try:
        return _outcome(read_outcome(text))
    except ValueError as error:
        raise BrokenRecord(_told(error)) from None


def dump_record(record: Record) -> str:
    """Return a record as one line of canonical JSON."""
    data = {
        "cell": record.cell,
        "attempt": record.attempt,
        "started": record.started,
        "ended": record.ended,
        "seconds": record.seconds,
        "outcome": _outcome_data(record.outcome),
    }
    if record.usage is not None:
        data["usage"] = asdict(record.usage)
    text = _START + canonical_json(data).encode()
    return (text + _MIDDLE + bytes_sha256(text).encode() + _END).decode()


def content_sha256(record: Record) -> str:
    """Return a digest of a record without the number that its store gave it."""
    artifacts = {
        name: Artifact(renamed(artifact.file, record.attempt, 0), artifact.sha256)
        for name, artifact in record.outcome.artifacts.items()
    }
    outcome = replace(record.outcome, artifacts=artifacts)
    return bytes_sha256(dump_record(replace(record, attempt=0, outcome=outcome)).encode())


def renamed(file: str, attempt: int, number: int) -> str:
    """Return an artifact's file name under another attempt's number."""
    own = f"{attempt:04d}."
    return f"{number:04d}.{file.removeprefix(own)}" if file.startswith(own) else file


def load_record(text: bytes, planned: Cell | None = None) -> Record:
    """Return the record that :func:`dump_record` wrote.

    Parameters
    ----------
    planned
        The cell whose record it should be. Where the text tells of this very cell, that part is
        compared instead of parsed, and its work and settings are those that all its seeds share.

    Raises
    ------
    BrokenRecord
        If the text is not what was written, or holds what no record can: a value of another
        type, a number out of its range, a cell whose work has another id. An
        :class:`OtherFormat` if another Retable made it.
    """
    body = _checked(text)
    try:
        cell, data = _as_planned(body, planned) or _parsed(body)
        return Record(
            cell=cell,
            attempt=data["attempt"],
            started=data["started"],
            ended=data["ended"],
            seconds=data["seconds"],
            outcome=_outcome(data["outcome"]),
            usage=_usage(data.get("usage")),
        )
    except ValueError as error:
        raise BrokenRecord(_told(error)) from None


def _as_planned(
    body: bytes, planned: Cell | None
) -> tuple[Mapping[str, Any], AttemptFields] | None:
    """Return the cell and the rest of a record of the planned cell; None of any other."""
    if planned is None:
        return None
    # Keys are sorted: behind the attempt comes the cell.
    start = body.find(b",") + 1
    cell = b'"cell":' + planned.json_text().encode() + b","
    if not body.startswith(cell, start):
        return None
    return planned.to_json(), read_attempt(body[:start] + body[start + len(cell) :])


def _parsed(body: bytes) -> tuple[Mapping[str, Any], AttemptFields]:
    data = read_record(body)
    cell = data["cell"]
    if not _has_its_id(cell):
        raise BrokenRecord(f"its cell's id {cell['id']} is not that of its cell's work")
    return cell, data


def _checked(text: bytes) -> bytes:
    """Return the JSON of the record itself, whose digest is the one beside it."""
    cut = len(text) - len(_END) - _DIGITS - len(_MIDDLE)
    framed = text.startswith(_START) and text.endswith(_END) and text[cut:].startswith(_MIDDLE)
    if not framed or cut < len(_START):
        _refuse_other_format(text)
        raise BrokenRecord("it is not whole")
    if bytes_sha256(text[:cut]).encode() != text[-len(_END) - _DIGITS : -len(_END)]:
        raise BrokenRecord("it is not as it was written: its digest is another")
    return text[len(_START) : cut]


def _refuse_other_format(text: bytes) -> None:
    try:
        number = from_json(text)["format"]
    except (ValueError, KeyError, TypeError):
        return
    if type(number) is int and number != FORMAT:
        age = "an older" if number < FORMAT else "a newer"
        raise OtherFormat(f"it was made by {age} Retable (format {number}, not {FORMAT})")


def _has_its_id(cell: CellFields) -> bool:
    parents = {role: (p["id"], p["artifact"]) for role, p in cell["parents"].items()}
    # Its keys come in the order in which they were written, which is the canonical one, and most
    # numbers have one text: sorting and printing them as Python does takes four times as long.
    quick = to_json(cell["work"]).decode()
    if cell["id"] == id_of(quick, cell["seed"], parents):
        return True
    return cell["id"] == id_of(canonical_json(cell["work"]), cell["seed"], parents)


def _told(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return str(error)


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "metrics": {name: _number(value) for name, value in outcome.metrics.items()},
        "curves": {
            name: {
                "axis": curve.axis,
                "at": [_place(a) for a in curve.at],
                "value": [_number(v) for v in curve.value],
            }
            for name, curve in outcome.curves.items()
        },
        "timings": {name: float(value) for name, value in outcome.timings.items()},
        "provenance": _provenance(outcome.provenance),
        "artifacts": {name: asdict(artifact) for name, artifact in outcome.artifacts.items()},
        "failure": asdict(outcome.failure) if outcome.failure is not None else None,
    }


def _provenance(made: Provenance) -> dict[str, Any]:
    said = {field.name: _plain(getattr(made, field.name)) for field in fields(made)}
    if not made.numerics:
        # Records from before this was told keep their bytes, and with them their digests.
        del said["numerics"]
    return said


def _outcome(data: OutcomeFields) -> Outcome:
    metrics, failure = data["metrics"], data["failure"]
    if data["status"] == "done" and not all(map(math.isfinite, metrics.values())):
        raise BrokenRecord("it is done, and a metric of it is no finite number")
    return Outcome(
        status=data["status"],
        metrics=metrics,
        curves={
            name: Curve(tuple(curve["at"]), tuple(curve["value"]), curve["axis"])
            for name, curve in data["curves"].items()
        },
        timings=data["timings"],
        provenance=Provenance(**data["provenance"]),
        artifacts={name: Artifact(**artifact) for name, artifact in data["artifacts"].items()},
        failure=Failure(**failure) if failure is not None else None,
    )


def _usage(data: UsageFields | None) -> Usage | None:
    if data is None:
        return None
    if (data["allocated"] or 0) > (data["reserved"] or 0):
        raise BrokenRecord("usage: more memory is allocated than reserved")
    return Usage(
        device=data["device"],
        total=data["total"],
        reserved=data["reserved"],
        allocated=data["allocated"],
        process=data["process"],
        beside=tuple(data["beside"]),
        seconds=data["seconds"],
    )


def _place(value: float) -> float | int | str:
    # Most curves are over steps, and most steps are whole: they stay short and readable.
    return int(value) if float(value).is_integer() else _number(value)


def _number(value: float) -> float | str:
    # JSON has no infinities; an attempt that ended in NaN must still tell its curve.
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
